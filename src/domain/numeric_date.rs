//! Times in JWTs (RFC 7519 §2, NumericDate): seconds since 1970, of which fractions are allowed.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Number;

/// The time in whole seconds; a fraction is cut off. `None` if it is no time that a JWT can mean.
#[must_use]
pub fn seconds(number: &Number) -> Option<i64> {
    /// 2^53: below it, every whole number has an exact float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = || number.as_f64().filter(|float| float.abs() < EXACT);
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is cut off, and the rest fits")]
    number.as_i64().or_else(|| float().map(|float| float as i64))
}

/// Deserializes a time.
///
/// # Errors
/// Where the value is no number, or too large.
pub fn required<'de, D: Deserializer<'de>>(value: D) -> Result<i64, D::Error> {
    seconds(&Number::deserialize(value)?).ok_or_else(|| D::Error::custom("no time"))
}

/// Deserializes a time that may be absent. Unlike a plain `Option`, it refuses `null`.
///
/// # Errors
/// Where the value is no number, or too large.
pub fn optional<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    required(value).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_have_a_fraction() {
        let of = |text: &str| seconds(&serde_json::from_str(text).expect("a number"));
        for (text, time) in [
            ("1800000000", Some(1_800_000_000)),
            ("1800000000.0", Some(1_800_000_000)),
            ("1800000000.999", Some(1_800_000_000)),
            ("1.8e9", Some(1_800_000_000)),
            ("-0.5", Some(0)),
            ("1e300", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("18446744073709551615", None),
        ] {
            assert_eq!(of(text), time, "{text}");
        }
    }
}
