//! The variable of the Gram program, with one entry per pair of groups of equally likely classes, and when its search
//! stops.

/// Inner products above 1 − `TIE` count as ties of the mean classifier: classes that coincide at the optimum are found
/// close to each other, not equal.
pub const TIE: f64 = 1e-5;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The gap to reach, in nats, times the mean softmax weight of the other classes' negatives, E\[A/(1+Col+A)\] ≤ 1:
    /// so that the optimum is found where it moves the loss by less than the tolerance itself.
    pub tolerance: f64,
    /// Steps after which the solver stops, whatever the gap; it also stops where the gap has not fallen for 200 steps.
    pub max_iterations: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { tolerance: 1e-8, max_iterations: 2000 }
    }
}

/// A Gram matrix with one entry per pair of groups of equally likely classes; its diagonal is 1.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupedGram {
    pub(super) groups: usize,
    /// h_a on the diagonal, M_ab beside it.
    pub(super) entries: Vec<f64>,
}

impl GroupedGram {
    /// Inner product of two *different* classes, one of group `a` and one of group `b`, in the order of
    /// [`crate::ClassPrior::groups`].
    ///
    /// # Panics
    /// If a group does not exist.
    pub fn between(&self, a: usize, b: usize) -> f64 {
        assert!(a < self.groups && b < self.groups, "groups {a} and {b} of {}", self.groups);
        self.entries[a * self.groups + b]
    }
}
