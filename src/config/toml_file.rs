//! The TOML file: a tree of tables, read as one text for each key.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{
    given::{Given, ValueSource, Values, on_one_line},
    keys,
};

/// The values that `text`, the content of the file at `path`, gives; unknown keys and wrong types go to `problems`.
///
/// `None` if the text is not TOML. No problem quotes the text: any line may hold a secret.
pub(super) fn values(path: &Path, text: &str, problems: &mut Vec<String>) -> Option<Values> {
    let mut reading = Tables { path, text, values: Values::new(), problems };
    match DeTable::parse(text) {
        Ok(table) => {
            reading.table("", table.get_ref());
            Some(reading.values)
        }
        Err(error) => {
            let origin = reading.origin(error.span().map_or(0, |span| span.start));
            problems.push(format!("the configuration file is not TOML: {} ({origin})", on_one_line(error.message())));
            None
        }
    }
}

struct Tables<'a> {
    path: &'a Path,
    text: &'a str,
    values: Values,
    problems: &'a mut Vec<String>,
}

impl Tables<'_> {
    /// The line of the byte at `offset`.
    fn origin(&self, offset: usize) -> ValueSource {
        let before = self.text.bytes().take(offset);
        ValueSource::File { path: self.path.to_owned(), line: 1 + before.filter(|&byte| byte == b'\n').count() }
    }

    fn table(&mut self, name: &str, table: &DeTable<'_>) {
        for (part, value) in table {
            let key = if name.is_empty() { part.get_ref().to_string() } else { format!("{name}.{}", part.get_ref()) };
            let origin = self.origin(part.span().start);
            // A quoted name with a dot in it would look like a nested key.
            let known = !part.get_ref().contains('.');
            match value.get_ref() {
                DeValue::Table(inner) if known && keys::is_table(&key) => self.table(&key, inner),
                _ if known && keys::is_table(&key) => {
                    self.problems.push(format!("{key} must be a table, [{key}] ({origin})"));
                }
                value if known && keys::find(&key).is_some() => self.value(key, value, origin),
                _ => {
                    let problem = format!("unknown key {}: {} ({origin})", on_one_line(&key), keys::advice(&key));
                    self.problems.push(problem);
                }
            }
        }
    }

    fn value(&mut self, key: String, value: &DeValue<'_>, origin: ValueSource) {
        let text = text_of(value, keys::is_list(&key));
        if text.is_none() {
            let list = if keys::is_list(&key) { "an array of strings or " } else { "" };
            self.problems.push(format!("{key} must be {list}a string, a whole number, true or false ({origin})"));
        }
        self.values.insert(key, Given { text, origin });
    }
}

/// The value as an environment variable would give it; `None` for types that no key accepts.
fn text_of(value: &DeValue<'_>, list: bool) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Array(items) if list => {
            let texts: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}
