//! Linear warm-up, then a cosine to zero.

/// The learning rate of each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The rate at the end of the warm-up.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warmup_steps: usize,
    /// All steps.
    pub total_steps: usize,
}

impl Schedule {
    /// Rate of step `step` = 0, 1, …: peak·(step+1)/warm-up, then peak·(1 + cos(π·progress))/2.
    ///
    /// # Examples
    /// ```
    /// let schedule = trainer::optim::Schedule { peak: 1.0, warmup_steps: 2, total_steps: 6 };
    /// assert_eq!([0, 1, 2].map(|step| schedule.rate(step)), [0.5, 1.0, 1.0]);
    /// assert!((schedule.rate(4) - 0.5).abs() < 1e-15);
    /// ```
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let rest = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let progress = ((step - self.warmup_steps) as f64 / rest).min(1.0);
        0.5 * self.peak * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}
