//! Complex numbers, as far as sums over circles need them.

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Complex {
    pub re: f64,
    pub im: f64,
}

impl Complex {
    pub const ONE: Self = Self { re: 1.0, im: 0.0 };

    /// e^{re} (cos im + i sin im).
    pub fn exp(re: f64, im: f64) -> Self {
        let size = re.exp();
        Self { re: size * im.cos(), im: size * im.sin() }
    }

    pub fn times(self, other: Self) -> Self {
        let re = self.re * other.re - self.im * other.im;
        Self { re, im: self.re * other.im + self.im * other.re }
    }

    pub fn power(self, mut exponent: u64) -> Self {
        let (mut base, mut power) = (self, Self::ONE);
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = power.times(base);
            }
            base = base.times(base);
            exponent >>= 1;
        }
        power
    }
}
