//! The target of a page's redirect: a path of this service, never another site (RFC 9700 §4.11).

/// A path of this service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

/// The longest path, in bytes.
const MAX_LENGTH: usize = 256;

impl ReturnTo {
    /// Parses a path; `None` for a text that a browser could take for another site's URL, or that is more than a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
        let ours = text.len() <= MAX_LENGTH && text.starts_with('/') && !text.contains("//") && text.bytes().all(plain);
        ours.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_ours_is_taken() {
        for good in ["/", "/account", "/account/providers"] {
            assert_eq!(ReturnTo::parse(good).as_ref().map(ReturnTo::as_str), Some(good));
        }
    }

    #[test]
    fn nothing_that_leads_elsewhere_is() {
        for bad in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "\\evil.example",
            "/a//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            " /account",
            "/%2f/evil.example",
            "/account?x=1",
            "/account#x",
            "/..;/x",
            &format!("/{}", "a".repeat(256)),
        ] {
            assert_eq!(ReturnTo::parse(bad), None, "{bad:?}");
        }
    }
}
