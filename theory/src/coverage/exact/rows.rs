//! Products and squares of integers by their words, lowest first, up to six rows of the schoolbook at a time.
//!
//! Six words of one factor stay at hand while the other goes by: each of its words is read once, and each word of the
//! sum read and written once, for six products. A step w·y + s + c of words w, y, s, c is at most
//! (2⁶⁴−1)² + 2(2⁶⁴−1) = 2¹²⁸ − 1, so that no carry of it is lost.

/// Rows at a time.
const ROWS: usize = 6;

/// Adds xy to `sum`; what lies beyond the end of `sum` is lost. Quickest if x is the shorter one.
pub(super) fn add_product(sum: &mut [u64], x: &[u64], y: &[u64]) {
    let (blocks, rest) = x.as_chunks::<ROWS>();
    let mut sum = sum;
    for rows in blocks {
        add_rows(sum, *rows, y);
        let Some(above) = sum.get_mut(ROWS..) else { return };
        sum = above;
    }
    add_rest(sum, rest, y);
}

/// Adds xy to `sum` for fewer than [`ROWS`] + 1 words x.
fn add_rest(sum: &mut [u64], x: &[u64], y: &[u64]) {
    match *x {
        [a] => add_rows(sum, [a], y),
        [a, b] => add_rows(sum, [a, b], y),
        [a, b, c] => add_rows(sum, [a, b, c], y),
        [a, b, c, d] => add_rows(sum, [a, b, c, d], y),
        [a, b, c, d, e] => add_rows(sum, [a, b, c, d, e], y),
        [a, b, c, d, e, f] => add_rows(sum, [a, b, c, d, e, f], y),
        _ => {}
    }
}

fn add_rows<const N: usize>(sum: &mut [u64], rows: [u64; N], y: &[u64]) {
    let (own, above) = sum.split_at_mut(y.len().min(sum.len()));
    let mut carry = [0u64; N];
    for (word, &factor) in own.iter_mut().zip(y) {
        let mut add = *word;
        for i in 0..N {
            let term = u128::from(rows[i]) * u128::from(factor) + u128::from(carry[i]) + u128::from(add);
            // The low word goes one row up, which is one word to the right in the next step.
            if i == 0 {
                *word = term as u64
            } else {
                carry[i - 1] = term as u64
            }
            add = (term >> 64) as u64;
        }
        carry[N - 1] = add;
    }
    let mut spilled = false;
    for (word, own) in above.iter_mut().zip(carry) {
        let (value, first) = word.overflowing_add(own);
        let (value, second) = value.overflowing_add(u64::from(spilled));
        (*word, spilled) = (value, first || second);
    }
    let mut rest = above.iter_mut().skip(N);
    while spilled && let Some(word) = rest.next() {
        (*word, spilled) = word.overflowing_add(1);
    }
}

/// Writes x² into `out`, twice as long and a word. `doubled` is overwritten; it has room for one word more than x.
///
/// With blocks X_i of words: x² = Σ_i X_i (X_i + 2 Σ_{j>i} X_j), each product on the words of one copy of 2x in which
/// the block itself is put back undoubled.
pub(super) fn square(x: &[u64], doubled: &mut [u64], out: &mut [u64]) {
    let n = x.len();
    let (doubled, out) = (&mut doubled[..=n], &mut out[..=2 * n]);
    out.fill(0);
    let mut below = 0;
    for (double, &word) in doubled.iter_mut().zip(x) {
        *double = word << 1 | below >> 63;
        below = word;
    }
    doubled[n] = below >> 63;
    for start in (0..n).step_by(ROWS) {
        let end = (start + ROWS).min(n);
        doubled[start..end].copy_from_slice(&x[start..end]);
        // Without the bit that came from the block.
        doubled[end] = x.get(end).map_or(0, |word| word << 1);
        add_rest(&mut out[2 * start..], &x[start..end], &doubled[start..]);
    }
}

/// Takes y from x, which is not less.
pub(super) fn subtract(x: &mut [u64], y: &[u64]) {
    let mut borrow = false;
    for (i, word) in x.iter_mut().enumerate() {
        if i >= y.len() && !borrow {
            return;
        }
        let (value, first) = word.overflowing_sub(y.get(i).copied().unwrap_or(0));
        let (value, second) = value.overflowing_sub(u64::from(borrow));
        (*word, borrow) = (value, first || second);
    }
}

/// The words without leading zeros.
pub(super) fn trimmed(words: &[u64]) -> &[u64] {
    &words[..words.iter().rposition(|&word| word != 0).map_or(0, |top| top + 1)]
}

#[cfg(test)]
mod tests {
    use super::super::words::from_words;
    use super::*;
    use num_bigint::BigUint;

    /// Words with long carries, and with none.
    fn samples(length: usize) -> [Vec<u64>; 3] {
        let mixed = (1..=length as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        [vec![u64::MAX; length], (0..length as u64).map(|i| i << 63).collect(), mixed]
    }

    #[test]
    fn products_are_added_and_cut() {
        for (n, m) in [(0, 3), (1, 1), (2, 9), (5, 5), (6, 7), (7, 6), (12, 1), (13, 20)] {
            for (x, y) in samples(n).iter().zip(&samples(m)) {
                let start = vec![u64::MAX; n + m];
                let mut sum = [&start[..], &[0]].concat();
                add_product(&mut sum, x, y);
                let expected = from_words(&start) + from_words(x) * from_words(y);
                assert_eq!(from_words(&sum), expected, "{n} {m}");
                for length in 0..=n + m {
                    let mut cut = start[..length].to_vec();
                    add_product(&mut cut, x, y);
                    assert_eq!(cut, sum[..length], "{n} {m} {length}");
                }
            }
        }
    }

    #[test]
    fn squares_of_all_short_lengths() {
        for length in 0..40 {
            for x in samples(length) {
                let (mut doubled, mut out) = (vec![7; length + 2], vec![7; 2 * length + 2]);
                square(&x, &mut doubled, &mut out);
                let value = from_words(&x);
                assert_eq!(from_words(&out[..=2 * length]), &value * &value, "{length}");
            }
        }
    }

    #[test]
    fn differences_borrow() {
        let mut words = vec![0, 0, 0, 1];
        subtract(&mut words, &[1]);
        assert_eq!((trimmed(&words), trimmed(&[0, 0])), (&[u64::MAX; 3][..], &[][..]));
        assert_eq!(from_words(&words) + 1u32, BigUint::from(1u32) << 192);
    }
}
