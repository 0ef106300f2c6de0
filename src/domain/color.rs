//! The one colour that an operator chooses for the pages, and the colours that are readable beside it.

use std::fmt;

/// A colour of the screen, red, green and blue (CSS Color 4 §10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub [u8; 3]);

/// The text is not a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a colour as #rrggbb")]
pub struct NotAColor;

/// The background of the pages by day and by night.
pub const PAPER: [Color; 2] = [Color([0xff; 3]), Color([0x1a, 0x1c, 0x22])];
const BLACK: Color = Color([0; 3]);
const WHITE: Color = Color([0xff; 3]);

/// The least contrast between text and its background (WCAG 2.2, success criterion 1.4.3).
pub const READABLE: f64 = 4.5;

impl Color {
    /// Reads `#rrggbb`.
    ///
    /// # Errors
    /// [`NotAColor`].
    pub fn parse(text: &str) -> Result<Self, NotAColor> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii()).ok_or(NotAColor)?;
        let mut bytes = [0; 3];
        for (byte, at) in bytes.iter_mut().zip([0, 2, 4]) {
            let pair = &digits[at..at + 2];
            // `from_str_radix` takes a sign as well.
            let pair = Some(pair).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(NotAColor)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAColor)?;
        }
        Ok(Self(bytes))
    }

    /// The contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The readable text colour on this background: black or white, whichever has more contrast.
    #[must_use]
    pub fn ink(self) -> Self {
        if self.contrast(WHITE) >= self.contrast(BLACK) { WHITE } else { BLACK }
    }

    /// The nearest shade of this colour that can be read on `paper`.
    #[must_use]
    pub fn readable_on(self, paper: Self) -> Self {
        let towards = paper.ink();
        // Black or white itself is readable on any colour, so the last step always is.
        (0..=20)
            .map(|step| self.mixed(towards, step))
            .find(|shade| shade.contrast(paper) >= READABLE)
            .unwrap_or(towards)
    }

    /// This colour with `step` twentieths of `other`.
    fn mixed(self, other: Self, step: u16) -> Self {
        let mut bytes = [0; 3];
        for (byte, (a, b)) in bytes.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            let mixed = (u16::from(a) * (20 - step) + u16::from(b) * step) / 20;
            // A mean of two bytes is a byte.
            *byte = u8::try_from(mixed).unwrap_or(u8::MAX);
        }
        Self(bytes)
    }

    /// The relative luminance, 0 to 1 (WCAG 2.2, "relative luminance").
    fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_color_is_six_hexadecimal_digits_after_a_hash() {
        assert_eq!(Color::parse("#3A5bD9").map(|color| color.to_string()).as_deref(), Ok("#3a5bd9"));
        for bad in ["", "#", "3a5bd9", "#3a5", "#3a5bd9ff", "#+a+b+c", "#zzzzzz", "#3a5bd9;}", "#äöü", "red"] {
            assert_eq!(Color::parse(bad), Err(NotAColor), "{bad}");
        }
    }

    #[test]
    fn the_contrast_is_that_of_the_guidelines() {
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 0.01);
        assert!((WHITE.contrast(WHITE) - 1.0).abs() < 0.01);
        let grey = Color([0x76; 3]);
        assert!((grey.contrast(WHITE) - 4.54).abs() < 0.01, "the lightest grey that is readable on white");
    }

    proptest! {
        #[test]
        fn whatever_color_is_chosen_everything_can_be_read(bytes: [u8; 3]) {
            let color = Color(bytes);
            prop_assert!(color.contrast(color.ink()) >= READABLE);
            for paper in PAPER {
                prop_assert!(color.readable_on(paper).contrast(paper) >= READABLE);
            }
        }
    }
}
