//! Formulas of the bounds, set with sub- and superscripts, and what their symbols mean.

use super::escape;

/// Symbols of the formulas beside those that head the page.
pub(super) const SYMBOLS: [(&str, &str); 22] = [
    ("C, K", "number of classes, of negatives"),
    ("E", "mean over anchors and their batches"),
    ("Col", "number of negatives of the anchor's class"),
    ("cover", "the anchor's batch shows every class; 1{…} is 1 where what is in the braces is so, else 0"),
    ("l_sup, l_sub", "loss of one anchor over all C classes, over the classes of its batch"),
    (
        "A",
        "Σ of e^{z·(μ_j − μ_c)/t} over negatives of other classes j; z is the anchor's feature, μ_c the mean of class c",
    ),
    ("π_c, π_j, π_min, π_max", "shares of the classes c and j, of the rarest and of the commonest class"),
    (
        "P(Col = 0, cover | c)",
        "probability that no negative is of the anchor's class c and all other classes are shown",
    ),
    ("υ_{K+1}, υ_c", "υ of n = K+1 draws; given that the anchor is of class c"),
    ("min_c, min_{c≠j}", "the smallest over the anchor's class c, and another class j"),
    ("τ_K, τ_1", "probability that at least one of K negatives, that one negative, has the anchor's class"),
    (
        "υ̂, τ̂",
        "υ and τ counted in the measured batches; in the authors' code υ̂ = 0 is replaced by a constant at C = 100 and n = 128, 256",
    ),
    ("H_{C−1}", "1 + 1/2 + … + 1/(C−1)"),
    ("S(e^{2/t})", "Specht's ratio S(h) = (h − 1) h^{1/(h−1)} / (e ln h) at h = e^{2/t}"),
    ("G(t)", "the largest (h − a)(1/a − 1 + ln a)/(a − 1) over 1 ≤ a ≤ h = e^{2/t}"),
    (
        "v",
        "mean over anchors of the variance of e^{z·μ_j/t} over the classes j, divided by the square of its mean",
    ),
    (
        "V, σ",
        "mean square of the distance of a feature from the mean of its class, and mean of that distance",
    ),
    ("L_pair", "loss of telling the anchor's class from one other class, mean over the others"),
    (
        "s_k, s_+, max_k",
        "similarity of the anchor to a negative k of its class, to its positive; the largest over those k",
    ),
    ("β̂", "mean absolute difference of two products of features of one class, over training samples"),
    (
        "L_DCL, L_NSCL, R, N, n_max",
        "losses without the positive in the denominator, and without the anchor's class; sum of e^{s/t} over the anchor's class divided by that over the others; number of evaluated samples, and of those in the largest class",
    ),
    ("I(view 1; view 2)", "mutual information of two views of an image; of distinct images I(view; image)"),
];

/// A line of text as HTML: what follows `_` or `^`, a word or braces, is set below or above.
pub(super) fn typeset(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let tag = match letter {
            '_' => "sub",
            '^' => "sup",
            _ => {
                html += &escape(&letter.to_string());
                continue;
            }
        };
        let (inside, after) = script(rest);
        html += &format!("<{tag}>{}</{tag}>", typeset(inside));
        rest = after;
    }
    html
}

/// A word or what stands in braces, and the rest.
fn script(text: &str) -> (&str, &str) {
    if !text.starts_with('{') {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '+';
        return text.split_at(text.find(|letter| !is_word(letter)).unwrap_or(text.len()));
    }
    let mut depth = 0;
    for (place, letter) in text.char_indices() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if depth == 0 {
            return (&text[1..place], &text[place + 1..]);
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds;

    #[test]
    fn scripts_are_set() {
        assert_eq!(
            typeset("L_sup ≤ e^{K/υ_{K+1}} (s_+)"),
            "L<sub>sup</sub> ≤ e<sup>K/υ<sub>K+1</sub></sup> (s<sub>+</sub>)"
        );
        assert_eq!(typeset("a < {b}^2"), "a &lt; {b}<sup>2</sup>");
    }

    #[test]
    fn each_symbol_of_a_formula_is_explained() {
        const WORDS: [&str; 11] = [
            "any certificate of",
            "loss of the collided negatives",
            "not",
            "ln",
            "cosh",
            "min{",
            "max{",
            "L_Info",
            "L_sup",
            "d(f)",
            "t",
        ];
        for bound in bounds::all() {
            let formula = bound.formula();
            // What the formula defines itself, as "g = …".
            let defined = formula.split(", ").filter_map(|part| part.split_once(" = ")).map(|(name, _)| name);
            let explained = SYMBOLS.iter().flat_map(|(symbols, _)| match *symbols {
                one if one.contains('(') => vec![one],
                several => several.split(", ").collect(),
            });
            let mut known: Vec<&str> =
                explained.chain(WORDS).chain(defined.filter(|name| name.len() == 1)).collect();
            known.extend(["e^", "E[", "E ln", "(1 −"]);
            known.sort_by_key(|name| std::cmp::Reverse(name.len()));
            let mut left = formula.to_string();
            for name in known {
                left = left.replace(name, " ");
            }
            assert!(!left.chars().any(char::is_alphabetic), "{}: {left:?} of {formula}", bound.key());
        }
    }
}
