//! k-means on rows that may be sparse, and latent classes made with it: each class cut into k clusters.
//!
//! Lloyd's iterations from k-means++ starts (Arthur & Vassilvitskii 2007): points go to the nearest centroid c,
//! centroids to the mean of their points, until nothing moves; of several starts the one with the least Σ‖x − c‖² is
//! kept. Clusters are numbered by falling size. All sums are f64 in a fixed order, and starts come from one seeded
//! stream.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Rows as lists of (column, value); what is not listed is 0.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Number of columns.
    pub columns: usize,
    /// Entries of one row after the other.
    entries: Vec<(u32, f64)>,
    /// Where each row ends.
    ends: Vec<usize>,
}

impl Rows {
    /// No rows yet, of this many columns.
    pub fn new(columns: usize) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Appends a row; columns are below [`columns`](Self::columns).
    pub fn push(&mut self, row: impl IntoIterator<Item = (u32, f64)>) {
        self.entries.extend(row);
        self.ends.push(self.entries.len());
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Entries of row `index`.
    pub fn row(&self, index: usize) -> &[(u32, f64)] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.entries[start..self.ends[index]]
    }
}

/// Centroids of clusters, by falling size.
#[derive(Debug, Clone)]
pub struct Clusters {
    centroids: Vec<Vec<f64>>,
    squares: Vec<f64>,
    /// Σ over points of the squared distance to the nearest centroid.
    pub inertia: f64,
}

impl Clusters {
    fn from_centroids(centroids: Vec<Vec<f64>>) -> Self {
        let squares = centroids.iter().map(|c| c.iter().map(|x| x * x).sum()).collect();
        Self { centroids, squares, inertia: f64::NAN }
    }

    /// The best of `starts` runs of at most `iterations` over the rows `members`; at most as many clusters as members.
    pub fn fit(
        rows: &Rows,
        members: &[usize],
        num_clusters: usize,
        [starts, iterations]: [usize; 2],
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let run = |_| {
            let mut clusters = Self::start(rows, members, num_clusters.min(members.len()), rng);
            let mut places = vec![usize::MAX; members.len()];
            for _ in 0..iterations.max(1) {
                let found: Vec<(usize, f64)> =
                    members.iter().map(|&i| clusters.nearest(rows.row(i))).collect();
                let moved = found.iter().zip(&places).any(|(f, &place)| f.0 != place);
                places = found.into_iter().map(|f| f.0).collect();
                if !moved {
                    break;
                }
                clusters = clusters.means(rows, members, &places);
            }
            // Of the last centroids, whether or not the iterations sufficed.
            let found: Vec<(usize, f64)> = members.iter().map(|&i| clusters.nearest(rows.row(i))).collect();
            clusters.inertia = found.iter().map(|f| f.1).sum();
            clusters.by_size(&found.into_iter().map(|f| f.0).collect::<Vec<_>>())
        };
        let better = |a: Self, b: Self| if b.inertia < a.inertia { b } else { a };
        (0..starts.max(1)).map(run).reduce(better).unwrap_or_else(|| Self::from_centroids(Vec::new()))
    }

    /// k-means++: each further centroid is a point drawn with odds of its squared distance to the nearest one so far.
    fn start(rows: &Rows, members: &[usize], num_clusters: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut chosen = Self::from_centroids(Vec::new());
        let mut distances = vec![1.0; members.len()];
        while chosen.centroids.len() < num_clusters {
            let mut rest = rng.random::<f64>() * distances.iter().sum::<f64>();
            let beyond = distances.iter().position(|d| {
                rest -= d;
                rest < 0.0
            });
            let index = beyond.unwrap_or(members.len() - 1);
            let mut centroid = vec![0.0; rows.columns];
            rows.row(members[index]).iter().for_each(|&(column, value)| centroid[column as usize] += value);
            chosen.centroids.push(centroid);
            chosen = Self::from_centroids(chosen.centroids);
            for (distance, &i) in distances.iter_mut().zip(members) {
                *distance = chosen.nearest(rows.row(i)).1;
            }
        }
        chosen
    }

    /// Means of the points at each place; a centroid without points stays.
    fn means(&self, rows: &Rows, members: &[usize], places: &[usize]) -> Self {
        let mut sums = vec![(vec![0.0; rows.columns], 0usize); self.centroids.len()];
        for (&i, &place) in members.iter().zip(places) {
            let (sum, count) = &mut sums[place];
            rows.row(i).iter().for_each(|&(column, value)| sum[column as usize] += value);
            *count += 1;
        }
        let means = sums.into_iter().zip(&self.centroids).map(|((mut sum, count), old)| {
            if count == 0 {
                return old.clone();
            }
            sum.iter_mut().for_each(|x| *x /= count as f64);
            sum
        });
        Self::from_centroids(means.collect())
    }

    fn by_size(self, places: &[usize]) -> Self {
        let size = |cluster: usize| places.iter().filter(|&&place| place == cluster).count();
        let mut order: Vec<usize> = (0..self.centroids.len()).collect();
        order.sort_by_key(|&cluster| std::cmp::Reverse(size(cluster)));
        let centroids = order.into_iter().map(|i| self.centroids[i].clone()).collect();
        Self { inertia: self.inertia, ..Self::from_centroids(centroids) }
    }

    /// The cluster whose centroid is nearest to a row, the first of equals, and the squared distance.
    pub fn nearest(&self, row: &[(u32, f64)]) -> (usize, f64) {
        let square: f64 = row.iter().map(|(_, x)| x * x).sum();
        let distance = |(c, &c_square): (&Vec<f64>, &f64)| {
            let product: f64 = row.iter().map(|&(column, x)| x * c[column as usize]).sum();
            (square - 2.0 * product + c_square).max(0.0)
        };
        let distances = self.centroids.iter().zip(&self.squares).map(distance);
        let smaller = |a: (usize, f64), b: (usize, f64)| if b.1 < a.1 { b } else { a };
        distances.enumerate().reduce(smaller).unwrap_or((0, f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::rng::{Purpose, normal, stream};

    /// Three clouds of 50, 30 and 20 points at distance 10: found, in the order of size, whatever the seed; Σ‖x − c‖²
    /// is that of the clouds' own means.
    #[test]
    fn clouds_are_found() {
        let mut rng = stream(3, Purpose::Split, 0);
        let (mut rows, mut truth) = (Rows::new(4), Vec::new());
        for (cloud, count) in [(2usize, 20), (0, 50), (1, 30)] {
            for _ in 0..count {
                let centre = |c: u32| if c as usize == cloud { 10.0 } else { 0.0 };
                let row: Vec<(u32, f64)> =
                    (0..4).map(|c| (c, centre(c) + 0.5 * f64::from(normal(&mut rng)))).collect();
                rows.push(row);
                truth.push(cloud);
            }
        }
        let members: Vec<usize> = (0..rows.len()).collect();
        let mut sum = 0.0;
        for cloud in 0..3 {
            let own: Vec<usize> = members.iter().copied().filter(|&i| truth[i] == cloud).collect();
            for column in 0..4 {
                let mean = own.iter().map(|&i| rows.row(i)[column].1).sum::<f64>() / own.len() as f64;
                sum += own.iter().map(|&i| (rows.row(i)[column].1 - mean).powi(2)).sum::<f64>();
            }
        }
        for seed in 0..5 {
            let clusters = Clusters::fit(&rows, &members, 3, [5, 1000], &mut stream(seed, Purpose::Split, 0));
            let found: Vec<usize> = members.iter().map(|&i| clusters.nearest(rows.row(i)).0).collect();
            assert_eq!(found, truth);
            assert!((clusters.inertia / sum - 1.0).abs() < 1e-12, "{} {sum}", clusters.inertia);
        }
    }

    #[test]
    fn fewer_points_than_clusters() {
        let mut rows = Rows::new(2);
        rows.push([(1, 3.0)]);
        let clusters = Clusters::fit(&rows, &[0], 2, [5, 10], &mut stream(1, Purpose::Split, 0));
        assert_eq!(clusters.nearest(&[(0, 4.0)]), (0, 25.0));
    }
}
