//! E ln(1 + S + (k − S) e^x) for a law of S, and its lines of support.
//!
//! h(x) is the mean loss of an anchor of which S of k others have logit 0 or count as its own class, and the rest logit
//! x. It is convex and increasing, h(−∞) = E ln(1 + S), h(0) = ln(1 + k), and for a slope λ ≥ 0 the line x ↦ λ x + φ(λ),
//! φ(λ) = min_{x ≤ 0} h(x) − λ x, lies below h for all x ≤ 0: φ is minus the convex conjugate of h there.
//!
//! The minimum is where h′(x) = E (k−S) e^x / (1 + S + (k−S) e^x) is λ, or 0 where h′ stays below λ. Since h′(x) ≤ e^x E(k
//! − S), it is at ln(λ/E(k−S)) or above. A minimiser that is off by Δ raises φ by h″ Δ²/2, below 1e-18 here.

/// A law of S, as pairs of value and probability.
pub(super) struct Logits {
    law: Vec<(f64, f64)>,
    others: f64,
    /// E (k − S).
    rest: f64,
}

/// Accuracy of the minimiser: h is off by its square.
const ACCURACY: f64 = 1e-10;

impl Logits {
    pub fn new(law: impl IntoIterator<Item = (u64, f64)>, others: u64) -> Self {
        let law: Vec<_> = law.into_iter().map(|(s, p)| (s as f64, p)).collect();
        let others = others as f64;
        let rest = law.iter().map(|(s, p)| p * (others - s)).sum();
        Self { law, others, rest }
    }

    /// h(x) of e^x.
    fn value(&self, mass: f64) -> f64 {
        self.law.iter().map(|(s, p)| p * (s + (self.others - s) * mass).ln_1p()).sum()
    }

    /// h′(x) and h″(x) of e^x.
    fn slopes(&self, mass: f64) -> (f64, f64) {
        self.law.iter().fold((0.0, 0.0), |(first, second), (s, p)| {
            let share = (self.others - s) * mass / (1.0 + s + (self.others - s) * mass);
            (first + p * share, second + p * share * (1.0 - share))
        })
    }

    /// h′(0) = E(k − S)/(1 + k).
    pub fn largest_slope(&self) -> f64 {
        self.rest / (1.0 + self.others)
    }

    /// φ(λ); h(−∞) for λ = 0.
    pub fn support(&self, slope: f64) -> f64 {
        if slope <= 0.0 {
            return self.value(0.0);
        }
        if slope >= self.largest_slope() {
            return self.value(1.0);
        }
        let (mut low, mut high) = ((slope / self.rest).ln(), 0.0);
        let mut x: f64 = low;
        for _ in 0..100 {
            let (first, second) = self.slopes(x.exp());
            if first < slope {
                low = x
            } else {
                high = x
            }
            // Newton in the logarithms, where h′ is nearly e^x; halves where that leaves the bracket.
            let step = (slope / first).ln() * first / second;
            let next = if (low..=high).contains(&(x + step)) { x + step } else { 0.5 * (low + high) };
            let done = (next - x).abs() < ACCURACY;
            x = next;
            if done {
                break;
            }
        }
        self.value(x.exp()) - slope * x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // S = 0 of one other: h = ln(1 + e^x), h′ the logistic function; λ = 1/4 at x = −ln 3: φ = ln(4/3) + ln(3)/4.
        let logits = Logits::new([(0, 1.0)], 1);
        assert!((logits.support(0.25) - ((4.0f64 / 3.0).ln() + 0.25 * 3f64.ln())).abs() < 1e-14);
        assert_eq!((logits.support(0.0), logits.largest_slope()), (0.0, 0.5));
        assert_eq!(logits.support(0.5), 2f64.ln());
    }

    #[test]
    fn lines_of_support_lie_below() {
        let logits = Logits::new([(0, 0.2), (3, 0.5), (7, 0.3)], 9);
        for i in 0..60 {
            let slope = logits.largest_slope() * (i as f64 / 50.0);
            let line = logits.support(slope);
            let gap = |x: f64| logits.value(x.exp()) - slope * x - line;
            let gaps: Vec<f64> = (0..4000).map(|i| gap(-0.01 * f64::from(i))).collect();
            let least = gaps.iter().copied().fold(f64::INFINITY, f64::min);
            assert!((-1e-13..1e-4).contains(&least), "{slope}: {least}");
        }
    }
}
