//! The JSON members of client metadata (RFC 7591 §2), read as clients in the field write them.
//!
//! `null`, empty strings and empty lists mean that a member is not given. Types that can mean only one thing are read
//! as that thing; any other type is refused with the member's name.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::client_registration::NotRegistrable;

/// The members of a JSON object, each of them once. It may hold a secret, so it is not printed.
#[derive(Default, Clone)]
pub struct Members(Map<String, Value>);

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let mut members = Map::new();
                // Two readers of a repeated member may take different ones.
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member is repeated"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Once)
    }
}

impl Members {
    /// Takes a member as it is.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text. A number is read as its digits.
    ///
    /// # Errors
    /// [`NotRegistrable::WrongType`] for other types.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, NotRegistrable> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(NotRegistrable::WrongType { member: name, expected: "a string" }),
        };
        Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Takes a list of texts. A text that stands alone is a list of one: response types have spaces in them, so it is
    /// not parted. Texts stay as they are, because redirect URIs are compared byte by byte.
    ///
    /// # Errors
    /// [`NotRegistrable::WrongType`] for other types.
    pub fn list(&mut self, name: &'static str) -> Result<Option<Vec<String>>, NotRegistrable> {
        let wrong = NotRegistrable::WrongType { member: name, expected: "a list of strings" };
        let items = match self.take(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(text @ Value::String(_)) => vec![text],
            Some(_) => return Err(wrong),
        };
        let mut texts = Vec::new();
        for item in items {
            match item {
                Value::Null => {}
                Value::String(text) if text.trim().is_empty() => {}
                Value::String(text) => texts.push(text),
                _ => return Err(wrong),
            }
        }
        Ok(Some(texts).filter(|texts| !texts.is_empty()))
    }

    /// Takes a scope: words in a text, or in a list.
    ///
    /// # Errors
    /// [`NotRegistrable::WrongType`] for other types.
    pub fn words(&mut self, name: &'static str) -> Result<Option<String>, NotRegistrable> {
        match self.0.get(name) {
            Some(Value::Array(_)) => Ok(self.list(name)?.map(|words| words.join(" "))),
            _ => self.text(name).map_err(|_| NotRegistrable::WrongType {
                member: name,
                expected: "a string of words with spaces between them",
            }),
        }
    }

    /// Takes an object as JSON text. Some clients send the text itself.
    pub fn json(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
            other => Some(other.to_string()),
        }
    }

    /// Takes a truth value; a member that is not given is false.
    ///
    /// # Errors
    /// [`NotRegistrable::WrongType`] for values that are neither true nor false.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, NotRegistrable> {
        let word = match self.take(name) {
            None | Some(Value::Null) => return Ok(false),
            Some(Value::Bool(flag)) => return Ok(flag),
            Some(Value::String(word)) => word.trim().to_ascii_lowercase(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Array(_) | Value::Object(_)) => "no truth value".to_owned(),
        };
        match word.as_str() {
            "true" | "1" => Ok(true),
            "" | "false" | "0" => Ok(false),
            _ => Err(NotRegistrable::WrongType { member: name, expected: "true or false" }),
        }
    }

    /// The names of the members that are left and whose value means more than that the member is not wanted.
    #[must_use]
    pub fn names_asking(self) -> BTreeSet<String> {
        let asks = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !matches!(text.trim(), "" | "none"),
            Value::Array(list) => !list.is_empty(),
            Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
        };
        self.0.into_iter().filter(|(_, value)| asks(value)).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn members(value: &Value) -> Members {
        serde_json::from_value(json!({ "x": value })).expect("an object")
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_text_is_a_string_or_a_number() {
        for (value, text) in [
            (json!("a"), Some("a")),
            (json!(" a b\n"), Some("a b")),
            (json!(7), Some("7")),
            (json!(""), None),
            (json!("  "), None),
            (Value::Null, None),
        ] {
            assert_eq!(members(&value).text("x").expect("a text").as_deref(), text, "{value}");
        }
        assert_eq!(Members::default().text("x"), Ok(None));
        for value in [json!(["a"]), json!({}), json!(true), json!([])] {
            let wrong = NotRegistrable::WrongType { member: "x", expected: "a string" };
            assert_eq!(members(&value).text("x"), Err(wrong), "{value}");
        }
    }

    #[test]
    fn a_list_may_be_one_text() {
        for (value, list) in [
            (json!(["a", "b c"]), Some(strings(&["a", "b c"]))),
            (json!("b c"), Some(strings(&["b c"]))),
            (json!(["a", "", null, " "]), Some(strings(&["a"]))),
            (json!([]), None),
            (json!([null]), None),
            (json!([""]), None),
            (json!(""), None),
            (Value::Null, None),
        ] {
            assert_eq!(members(&value).list("x").expect("a list"), list, "{value}");
        }
        for value in [json!({}), json!(7), json!(true), json!([7]), json!([["a"]]), json!(["a", {}]), json!([true])] {
            assert!(members(&value).list("x").is_err(), "{value}");
        }
    }

    #[test]
    fn a_scope_may_be_a_list() {
        for (value, words) in [
            (json!("a b"), Some("a b")),
            (json!(["a", "b"]), Some("a b")),
            (json!(["a b", "c"]), Some("a b c")),
            (json!([]), None),
            (json!(""), None),
        ] {
            assert_eq!(members(&value).words("x").expect("words").as_deref(), words, "{value}");
        }
        for value in [json!({}), json!(true), json!([7]), json!([{}])] {
            assert!(members(&value).words("x").is_err(), "{value}");
        }
    }

    #[test]
    fn a_truth_value_may_be_a_word_or_a_digit() {
        for (value, flag) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(" True "), true),
            (json!(1), true),
            (json!("1"), true),
            (json!(false), false),
            (json!("FALSE"), false),
            (json!(0), false),
            (json!("0"), false),
            (json!(""), false),
            (Value::Null, false),
        ] {
            assert_eq!(members(&value).flag("x"), Ok(flag), "{value}");
        }
        for value in [json!("yes"), json!(2), json!([]), json!({}), json!([true])] {
            assert!(members(&value).flag("x").is_err(), "{value}");
        }
    }

    #[test]
    fn a_member_is_there_once() {
        for text in [r#"{"x":1,"x":1}"#, r#"{"x":1,"\u0078":2}"#, "[]", "null", "7", r#""x""#] {
            assert!(serde_json::from_str::<Members>(text).is_err(), "{text}");
        }
        assert!(!format!("{:?}", members(&json!("secret"))).contains("secret"));
    }

    proptest! {
        #[test]
        fn any_value_is_read_or_refused_with_its_name(
            text in "(true|false|null|-?[1-9][0-9]{0,2}|\"[a-z ]{0,4}\"|\\[(\"[a-z ]{0,3}\"(,(7|\"b\"|null))?)?\\]|\\{\\})",
        ) {
            let value: Value = serde_json::from_str(&text).expect("JSON");
            let refusals = [
                members(&value).text("x").err(),
                members(&value).list("x").err(),
                members(&value).words("x").err(),
                members(&value).flag("x").err(),
            ];
            for refusal in refusals.into_iter().flatten() {
                let names_it = matches!(refusal, NotRegistrable::WrongType { member: "x", .. });
                prop_assert!(names_it, "{refusal:?}");
            }
        }
    }
}
