//! The tokens of Rust source, without comments, literals and test code.

/// A name or a sign, with its line.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

pub(crate) fn tokens(code: &str) -> Vec<Token> {
    let mut found = Vec::new();
    for (number, mut rest) in code.lines().enumerate() {
        while let Some(first) = rest.chars().next() {
            let length = match first {
                ':' if rest.starts_with("::") => 2,
                _ if is_name(rest) => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            if !first.is_whitespace() {
                found.push(Token { text: rest[..length].to_owned(), line: number + 1 });
            }
            rest = &rest[length..];
        }
    }
    found
}

/// The tokens without items that are compiled for tests only, and the names of the test modules in files of their own.
pub(crate) fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let attribute = &tokens[at..end_of_attribute(tokens, at)];
        let has = |word| attribute.iter().any(|token| token.text == word);
        if has("cfg") && has("test") && !has("not") {
            let end = end_of_item(tokens, at + attribute.len());
            if let [.., word, name, stop] = &tokens[at..end]
                && (word.text.as_str(), stop.text.as_str()) == ("mod", ";")
            {
                modules.push(name.text.clone());
            }
            at = end;
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    (kept, modules)
}

/// Behind the attribute that begins at `at`, or `at` if none does.
pub(crate) fn end_of_attribute(tokens: &[Token], at: usize) -> usize {
    if tokens[at].text != "#" || tokens.get(at + 1).is_none_or(|token| token.text != "[") {
        return at;
    }
    let length = tokens[at..].iter().scan(0_usize, |depth, token| {
        *depth = (*depth + usize::from(token.text == "[")).saturating_sub(usize::from(token.text == "]"));
        Some(*depth)
    });
    length.skip(1).position(|depth| depth == 0).map_or(tokens.len(), |position| at + position + 2)
}

/// Behind the item at `from`: behind its `;` or its last `}`, or where the block around it ends.
pub(crate) fn end_of_item(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            "}" if depth == 1 => return at + 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The text without comments and literals. It keeps their line breaks, so that line numbers stay right.
pub(crate) fn code_only(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let skipped = skipped_length(rest);
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the comment or literal that `rest` begins with, or zero.
pub(crate) fn skipped_length(rest: &str) -> usize {
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => comment_length(rest),
        [b'"', ..] => escaped_length(rest, '"'),
        [b'\'', b'\\', ..] => escaped_length(rest, '\''),
        // Without a second quote it is a lifetime.
        [b'\'', ..] => rest.char_indices().nth(2).filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        [b'r', b'"' | b'#', ..] => raw_length(rest),
        _ => 0,
    }
}

/// Block comments nest.
pub(crate) fn comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

pub(crate) fn escaped_length(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    rest.len()
}

/// Zero for a raw name such as `r#type`.
pub(crate) fn raw_length(rest: &str) -> usize {
    let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
    let Some(body) = rest[1 + hashes..].strip_prefix('"') else { return 0 };
    let end = format!("\"{}", "#".repeat(hashes));
    body.find(&end).map_or(rest.len(), |at| hashes + 2 + at + end.len())
}
