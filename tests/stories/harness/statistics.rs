//! Whether two samples of times differ by more than chance.

/// Beyond this many standard deviations two samples differ: by chance once in a million comparisons.
pub(crate) const DIFFER: f64 = 5.0;

/// By how many standard deviations the ranks of one sample differ from chance (Mann and Whitney, 1947). Positive where
/// `one` tends to be the greater.
pub(crate) fn mann_whitney<T: PartialOrd>(one: &[T], other: &[T]) -> f64 {
    let wins: f64 = one
        .iter()
        .flat_map(|a| {
            other.iter().map(move |b| {
                if a > b {
                    1.0
                } else if a < b {
                    0.0
                } else {
                    0.5
                }
            })
        })
        .sum();
    let count = |sample: &[T]| f64::from(u32::try_from(sample.len()).expect("some hundreds"));
    let (n, m) = (count(one), count(other));
    (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

#[test]
fn the_statistic_sees_real_differences_only() {
    let sample = |offset: u64| (0..200).map(|n| n * 7919 % 1009 + offset).collect::<Vec<_>>();
    assert!(mann_whitney(&sample(0), &sample(0)).abs() < 0.001);
    assert!(mann_whitney(&sample(400), &sample(0)) > DIFFER && mann_whitney(&sample(0), &sample(400)) < -DIFFER);
}
