//! Words of English texts, as torchtext's `basic_english` tokeniser cuts them, and the vocabulary of a training set.
//!
//! The tokeniser makes letters small, then replaces in this order
//!
//! ```text
//! '  → " '  "    "  → ""    .  → " . "    <br />  → " "    ,  → " , "    (  → " ( "
//! )  → " ) "     !  → " ! "  ?  → " ? "   ;  → " "         :  → " "      runs of white space → " "
//! ```
//!
//! and cuts at white space. (`torchtext.data.utils`, unchanged since version 0.5.) The vocabulary holds the words that
//! the training texts have at least `least` times, by falling frequency, those of one frequency in alphabetical order,
//! and `<unk>` as its last word: every other word is read as `<unk>` and stays in the text. That is torchtext's
//! `Vocab(counter, specials=["<unk>"], min_freq=5, specials_first=False)`, which the official code of Nozawa & Sato
//! (2021) calls with the words of all training texts; there is no `<pad>`.
//!
//! The official code cuts every text twice, the second time the words of the first joined by blanks. That changes a
//! text only where a line break was spelled unusually (`<br  />`), which happens nowhere in AG News.

use std::collections::HashMap;
use std::sync::Arc;

/// The word that stands for every word outside a vocabulary.
pub const UNKNOWN: &str = "<unk>";

/// White space as Python's `str.split` and `\s` take it: Unicode's, and four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The words of a text, as torchtext's `basic_english` tokeniser cuts them.
///
/// # Examples
/// ```
/// use trainer::data::words::tokens;
/// // The example of torchtext's documentation.
/// let expected = ["you", "can", "now", "install", "torchtext", "using", "pip", "!"];
/// assert_eq!(tokens("You can now install TorchText using pip!"), expected);
/// assert_eq!(tokens("Don't \"stop\";now"), ["don", "'", "t", "stop", "now"]);
/// ```
pub fn tokens(text: &str) -> Vec<String> {
    // Quotation marks go before line breaks are looked for, so that `<br" />` is one.
    let text = text.to_lowercase().replace('"', "").replace("<br />", " ");
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        let stands_alone = matches!(c, '\'' | '.' | ',' | '(' | ')' | '!' | '?');
        if !(stands_alone || matches!(c, ';' | ':') || is_space(c)) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if stands_alone {
            words.push(c.to_string());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Words with their numbers.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    words: Arc<Vec<String>>,
    numbers: HashMap<String, u32>,
}

impl Vocabulary {
    /// The words that `texts` have at least `least` times, and [`UNKNOWN`]: see the head of the file.
    ///
    /// # Examples
    /// ```
    /// use trainer::data::words::{Vocabulary, tokens};
    /// let texts = [tokens("b a c"), tokens("b a"), tokens("b")];
    /// let vocabulary = Vocabulary::new(&texts, 2);
    /// assert_eq!(**vocabulary.words(), ["b", "a", "<unk>"]);
    /// assert_eq!(vocabulary.numbers(&tokens("c b")), [2, 0]);
    /// ```
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a Vec<String>>, least: usize) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for word in texts.into_iter().flatten() {
            *counts.entry(word).or_default() += 1;
        }
        let mut counts: Vec<(&str, usize)> =
            counts.into_iter().filter(|&(word, count)| count >= least && word != UNKNOWN).collect();
        // Rust and Python both order strings by code points.
        counts.sort_unstable_by_key(|&(word, count)| (std::cmp::Reverse(count), word));
        let mut words: Vec<String> = counts.into_iter().map(|(word, _)| word.to_string()).collect();
        words.push(UNKNOWN.to_string());
        let numbers = words.iter().enumerate().map(|(i, word)| (word.clone(), i as u32)).collect();
        Self { words: Arc::new(words), numbers }
    }

    /// The words, by number.
    pub fn words(&self) -> &Arc<Vec<String>> {
        &self.words
    }

    /// Numbers of these words; that of [`UNKNOWN`] for a word outside.
    pub fn numbers(&self, words: &[String]) -> Vec<u32> {
        let unknown = self.words.len() as u32 - 1;
        words.iter().map(|word| self.numbers.get(word).copied().unwrap_or(unknown)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: the twelve replacements by Python's `re`, in order, then `split()`.
    #[test]
    fn tokens_are_those_of_torchtext() {
        for (text, expected) in [
            (
                "Don't <br />stop: \"x\" (a.b), c;d!? \x1c İs ΣΑΣ A\u{a0}b",
                "don|'|t|stop|x|(|a|.|b|)|,|c|d|!|?|i̇s|σας|a|b",
            ),
            ("<BR /><br\" />< br /><br/>", "<|br|/><br/>"),
            ("''..", "'|'|.|."),
            ("a\u{85}b\u{2003}c\u{200b}d\x1fe\tf", "a|b|c\u{200b}d|e|f"),
            ("<b\";r />#39;s \\$5-10", "<b|r|/>#39|s|\\$5-10"),
        ] {
            assert_eq!(tokens(text).join("|"), expected, "{text:?}");
        }
        assert!(tokens(" ; \"").is_empty());
    }

    #[test]
    fn rare_words_are_unknown_and_ties_alphabetical() {
        let texts = [tokens("z z y y x <unk> <unk> <unk>"), tokens("é é e e")];
        let vocabulary = Vocabulary::new(&texts, 2);
        assert_eq!(**vocabulary.words(), ["e", "y", "z", "é", UNKNOWN]);
        assert_eq!(vocabulary.numbers(&texts[0]), [2, 2, 1, 1, 4, 4, 4, 4]);
        assert_eq!(**Vocabulary::new(&[], 5).words(), [UNKNOWN]);
    }
}
