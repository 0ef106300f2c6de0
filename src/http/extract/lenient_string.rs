//! Strings in JSON bodies, which may be anything until they are asked for.

use std::{borrow::Cow, fmt};

use poem_openapi::{
    registry::MetaSchemaRef,
    types::{ParseFromJSON, ParseResult, ToJSON, Type},
};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::services::accounts::register::FieldError;

/// A member of a JSON body that should be a string. That it is missing or something else is told together with all else
/// that is wrong, by [`Fields`]; so reading it never fails.
#[derive(Default, Clone)]
pub(in crate::http) enum LenientString {
    /// Not sent, or `null`.
    #[default]
    Missing,
    /// Sent as something else.
    NotAString,
    /// Sent.
    Given(String),
}

impl fmt::Debug for LenientString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be a password or a token.
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for LenientString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Member {
            Given(String),
            Null(()),
            Other(IgnoredAny),
        }
        Ok(match Member::deserialize(deserializer)? {
            Member::Given(text) => Self::Given(text),
            Member::Null(()) => Self::Missing,
            Member::Other(IgnoredAny) => Self::NotAString,
        })
    }
}

/// Reads the members of a body one by one, and collects their errors.
#[derive(Debug, Default)]
pub(in crate::http) struct Fields(Vec<FieldError>);

impl Fields {
    fn wrong(&mut self, field: &'static str, message: &str) {
        self.0.push(FieldError { field, message: message.to_owned() });
    }

    /// A member that must be there.
    pub(in crate::http) fn required(&mut self, field: &'static str, text: LenientString) -> String {
        match text {
            LenientString::Missing => self.wrong(field, "is required"),
            LenientString::NotAString => self.wrong(field, "must be a string"),
            LenientString::Given(given) => return given,
        }
        String::new()
    }

    /// A secret member that must be there.
    pub(in crate::http) fn required_secret(&mut self, field: &'static str, text: LenientString) -> SecretString {
        self.required(field, text).into()
    }

    /// A member that may be there.
    pub(in crate::http) fn optional(&mut self, field: &'static str, text: LenientString) -> Option<String> {
        match text {
            LenientString::Missing => None,
            other => Some(self.required(field, other)),
        }
    }

    /// The errors.
    pub(in crate::http) fn finish(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

// What the OpenAPI document says of it: a string. Parsing goes by serde, above.
impl Type for LenientString {
    const IS_REQUIRED: bool = true;
    type RawValueType = String;
    type RawElementValueType = String;

    fn name() -> Cow<'static, str> {
        String::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        String::schema_ref()
    }

    fn as_raw_value(&self) -> Option<&String> {
        match self {
            Self::Given(text) => Some(text),
            Self::Missing | Self::NotAString => None,
        }
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a String> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromJSON for LenientString {
    fn parse_from_json(value: Option<serde_json::Value>) -> ParseResult<Self> {
        Ok(serde_json::from_value(value.unwrap_or_default()).unwrap_or(Self::NotAString))
    }
}

impl ToJSON for LenientString {
    fn to_json(&self) -> Option<serde_json::Value> {
        self.as_raw_value().map(|text| text.clone().into())
    }
}
