//! The error of each column over the evaluated images: how far it moves when other images of the same law are drawn.
//!
//! Everything here is given the encoder, the class means and f̄'s views in use: the N evaluated images are taken as
//! independent and of one law. (Without training samples the class means come from the evaluated images themselves, and
//! the errors leave that dependence out.)
//!
//! # Means over images
//!
//! `full_sup_loss`, `gap`, `within_class_variance` and others (`batch::OWN`) are means of one number x of each anchor. With
//! x̄_i its mean over the passes that held image i, w_i the share of those among all anchors, M = n ⌊N/n⌋ the images of
//! a pass and U = Σ w_i x̄_i the column, the error is √(Σ_i w_i (x̄_i − U)² / (M−1)); SD/√N where every pass holds all
//! images. Σ w_i² Var x̄_i is no larger, as w_i ≤ 1/M. Columns `…_rao_blackwell` have SD/√N, shares √(p(1−p)/(N−1)).
//!
//! # Means over batches
//!
//! All others average h(B) over batches of n images: P passes, m = ⌊N/n⌋ disjoint batches in each, views drawn anew in
//! each pass or not. Let ζ be Var h(B) and ζ_c the covariance of h on two batches that share c images. Batches of one
//! pass share none, and two batches of different passes are independent random subsets of the N images, so that
//!
//! Var U = ζ/(mP) + (1 − 1/P) γ,  γ = E ζ_c, c hypergeometric: n draws, n of N marked.
//!
//! For one pass that is ζ/m, and the variance of the batch means, pooled within passes, estimates ζ without bias. γ is
//! the variance of the mean over all batches of n of the N images. It shows in how batches of different passes agree
//! that share images: with d the deviation of a batch mean from U, s_ip the d of the batch of pass p that holds image i
//! (0 where none does) less n/N of the sum of d over the pass, and T the mean over pairs of passes of Σ_i s_ip s_iq,
//!
//! γ̂ = T (N−1) / (N m² (1 − n/N)²).
//!
//! *Where h(B) = θ + Σ_{j∈B} φ_j + noise, γ̂ has mean γ = n² Var φ/N, but for the centring at U.* Membership w_b(i) of
//! image i in batch b has variance v = (n/N)(1 − n/N), and covariance −v/(N−1) with that of another image. Hence
//! E\[s_ip | images\] = m v (φ_i − φ̄) N/(N−1), independently in p and q, and Σ_i (φ_i − φ̄)² has mean (N−1) Var φ. A
//! part of h of second order counts about twice, as in the jackknife: γ̂ errs upwards. (It is the infinitesimal
//! jackknife of subsampling, Wager, Hastie & Efron 2014, with products of different passes in place of their bias
//! correction.)
//!
//! γ̂ scatters by about ζ/m · n √(N−1)/(N−n) · √(2/(P(P−1))), which is added to it: few passes overstate the error. γ
//! is at most (n/N) ζ, since ζ_c ≤ (c/n) ζ (Hoeffding 1948), which is the cap; for columns that are nearly sums over
//! images the cap is nearly γ. Where a pass is one batch (n > N/2) ζ is not seen, but the variance s² of batches given
//! the images is: Var U = s²/P + γ, and the cap is s² n/(N−n). One batch in all, or n = N, shows nothing: no error.
//!
//! # Geometry
//!
//! `alignment` SD/√N; `uniformity` and `effective_rank` to first order, from the influence of each image
//! ([`crate::geometry()`]).
//!
//! `measure/examples/check_confidence.rs` counts how often mean ± 1.96 errors holds the truth.

/// Which images the batches of each pass held: n a batch, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Passes {
    num_images: usize,
    num_draws: usize,
    held: Vec<Vec<usize>>,
}

impl Passes {
    /// No pass yet, over N images in batches of n.
    pub fn new(num_images: usize, num_draws: usize) -> Self {
        Self { num_images, num_draws, held: Vec::new() }
    }

    /// Adds a pass by the order of its images; what is left over after whole batches is dropped.
    pub fn push(&mut self, mut order: Vec<usize>) {
        order.truncate(order.len() / self.num_draws * self.num_draws);
        self.held.push(order);
    }

    /// The error over images of the mean of these batch means, all passes one after another; `None`: nothing shows it.
    pub fn error_of_batches(&self, values: &[f64]) -> Option<f64> {
        let per_pass = self.held.first()?.len() / self.num_draws;
        if values.len() != per_pass * self.held.len() || per_pass == 0 {
            return None; // batches of somebody's own choice
        }
        let (n, images) = (self.num_draws as f64, self.num_images as f64);
        let (m, passes) = (per_pass as f64, self.held.len() as f64);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares = |values: &[f64], mean: f64| values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let total = squares(values, mean);
        // Σ_p (Σ_b d)².
        let mut of_sums = 0.0;
        let mut within = 0.0;
        for values in values.chunks_exact(per_pass) {
            let sum: f64 = values.iter().map(|v| v - mean).sum();
            of_sums += sum * sum;
            within += squares(values, mean + sum / m);
        }
        // ζ, or given the images where a pass is one batch.
        let (variance, cap) = match (per_pass, self.held.len()) {
            (1, 1) => return None,
            (1, _) if self.num_draws >= self.num_images => return None,
            (1, _) => (total / (passes - 1.0), n / (images - n)),
            _ => (within / (passes * (m - 1.0)), n / images),
        };
        if self.held.len() == 1 {
            return Some((variance / m).sqrt());
        }
        let mut deviations = vec![0.0; self.num_images];
        for (held, values) in self.held.iter().zip(values.chunks_exact(per_pass)) {
            for (batch, value) in held.chunks_exact(self.num_draws).zip(values) {
                batch.iter().for_each(|&image| deviations[image] += value - mean);
            }
        }
        let pairs = passes * (passes - 1.0);
        let agreement = (squares(&deviations, 0.0) - n * total + n * n / images * of_sums) / pairs;
        let estimate = agreement * (images - 1.0) / (images * (m * (1.0 - n / images)).powi(2));
        let scatter = variance / m * n * (images - 1.0).sqrt() / (images - n) * (2.0 / pairs).sqrt();
        let common = (estimate.max(0.0) + scatter).min(cap * variance);
        let own = variance / (m * passes);
        Some(if per_pass == 1 { own + common } else { own + (1.0 - 1.0 / passes) * common }.sqrt())
    }

    /// The error over images of a mean over anchors, from each image's sum over the passes that held it.
    pub fn error_of_images(&self, sums: &[f64]) -> Option<f64> {
        let per_pass = self.held.first()?.len();
        let mut times = vec![0.0f64; self.num_images];
        self.held.iter().flatten().for_each(|&image| times[image] += 1.0);
        let count = times.iter().sum::<f64>();
        let mean = sums.iter().sum::<f64>() / count;
        let of_image = |(sum, times): (&f64, &f64)| times * (sum / times - mean).powi(2);
        let seen = sums.iter().zip(&times).filter(|(_, times)| **times > 0.0);
        let spread = seen.map(of_image).sum::<f64>() / count;
        (per_pass > 1).then(|| (spread / (per_pass as f64 - 1.0)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal, permutation, stream};

    /// The means of batches of a function of their images, pass by pass.
    fn batches(
        passes: &mut Passes,
        count: usize,
        seed: u64,
        mut of: impl FnMut(&[usize]) -> f64,
    ) -> Vec<f64> {
        let mut rng = stream(seed, Purpose::Evaluation, 0);
        let mut values = Vec::new();
        for _ in 0..count {
            let order = permutation(passes.num_images, &mut rng);
            values.extend(order.chunks_exact(passes.num_draws).map(&mut of));
            passes.push(order);
        }
        values
    }

    /// Mean squared error reported over the variance that many data sets show.
    fn ratio(images: usize, draws: usize, count: usize, of: &dyn Fn(&[f64], &[usize]) -> f64) -> f64 {
        const WORLDS: u64 = 1500;
        let (mut means, mut reported) = (Vec::new(), 0.0);
        for world in 0..WORLDS {
            let mut rng = stream(world, Purpose::Initialisation, 1);
            let data: Vec<f64> = (0..images).map(|_| f64::from(normal(&mut rng))).collect();
            let mut passes = Passes::new(images, draws);
            let values = batches(&mut passes, count, world, |batch| of(&data, batch));
            means.push(values.iter().sum::<f64>() / values.len() as f64);
            reported += passes.error_of_batches(&values).unwrap().powi(2) / WORLDS as f64;
        }
        let mean = means.iter().sum::<f64>() / WORLDS as f64;
        reported / (means.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (WORLDS - 1) as f64)
    }

    #[test]
    fn a_sum_over_images_has_the_error_of_its_mean() {
        let linear =
            |data: &[f64], batch: &[usize]| batch.iter().map(|&i| data[i]).sum::<f64>() / batch.len() as f64;
        // The ratio of variances from 1500 worlds scatters by √(2/1500) = 0.037.
        for (images, draws, passes) in [(60, 6, 1), (60, 6, 8), (65, 6, 8), (40, 30, 60)] {
            let found = ratio(images, draws, passes, &linear);
            assert!((0.88..1.2).contains(&found), "N = {images}, n = {draws}, P = {passes}: {found}");
        }
    }

    #[test]
    fn what_passes_average_out_is_not_counted_where_there_are_many() {
        // x_1 x_2 + …: of second order alone, so that γ is far below its cap.
        let product = |data: &[f64], batch: &[usize]| {
            let sum: f64 = batch.iter().map(|&i| data[i]).sum();
            let squares: f64 = batch.iter().map(|&i| data[i] * data[i]).sum();
            sum * sum - squares
        };
        let found = ratio(60, 6, 1, &product);
        assert!((0.85..1.15).contains(&found), "{found}");
        let found = ratio(60, 6, 40, &product);
        assert!((1.0..3.5).contains(&found), "{found}");
    }

    #[test]
    fn by_hand() {
        // One pass of two batches with means 1 and 3: variance 2, error √(2/2).
        let mut passes = Passes::new(5, 2);
        passes.push(vec![0, 1, 2, 3, 4]);
        assert_eq!(passes.error_of_batches(&[1.0, 3.0]), Some(1.0));
        assert_eq!(passes.error_of_batches(&[1.0]), None, "not the batches of this pass");
        // Images 0, 2, 4, 6 of a full pass: squared deviations 9, 1, 1, 9, of mean 5, over M−1 = 3.
        let mut passes = Passes::new(4, 2);
        passes.push(vec![0, 1, 2, 3]);
        let found = passes.error_of_images(&[0.0, 2.0, 4.0, 6.0]).unwrap();
        assert!((found - (5.0f64 / 3.0).sqrt()).abs() < 1e-15);
        let mut single = Passes::new(3, 2);
        single.push(vec![0, 1, 2]);
        assert_eq!(single.error_of_batches(&[1.0]), None);
        assert_eq!(Passes::new(3, 2).error_of_images(&[0.0; 3]), None);
    }
}
