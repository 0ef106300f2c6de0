//! One source file: the module that it holds, the paths that it names, and the names that it defines.

use std::collections::HashSet;

use super::{
    CRATES,
    tokens::{Token, code_only, is_name, tokens, without_tests},
    tree::Names,
};

/// One source file, as far as imports are concerned.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) module: Names,
    pub(crate) imports: Vec<Import>,
    /// Names that the file defines itself.
    pub(crate) items: HashSet<String>,
    pub(crate) test_modules: Vec<Names>,
}

/// One path that a file names.
pub(crate) struct Import {
    /// The module that the path is seen from.
    pub(crate) module: Names,
    pub(crate) path: Names,
    /// The name that a `use` binds, `*` for a glob, or nothing for a path in code.
    pub(crate) name: String,
    pub(crate) line: usize,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let module = module_of(path);
        let (tokens, tests) = without_tests(&tokens(&code_only(text)));
        let test_modules = tests.into_iter().map(|name| [module.clone(), vec![name]].concat()).collect();
        let mut scan = Scan { tokens: &tokens, at: 0, scopes: vec![(0, module.clone())], imports: vec![], depth: 0 };
        let items = scan.run();
        Self { path: path.to_owned(), module, imports: scan.imports, items, test_modules }
    }

    pub(crate) fn is_named_as_test(&self) -> bool {
        let names: Vec<_> = self.path.split('/').collect();
        names.contains(&"tests")
            || ["tests.rs", "laws.rs", "properties.rs", "corpus.rs"].iter().any(|name| names.last() == Some(name))
    }

    pub(crate) fn layer(&self) -> &str {
        match self.module[0].as_str() {
            "signet" => self.module.get(1).map_or("lib", String::as_str),
            other => other,
        }
    }

    pub(crate) fn forbidden_to(&self, layer: &str, allowed: &[&str]) -> Option<String> {
        let own = self.layer();
        let allowed_names = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
        (own != layer && !allowed.contains(&own))
            .then(|| format!("`{layer}` must not import `{own}` ({}); it may import {allowed_names}", self.path))
    }

    pub(crate) fn binding(&self, name: &str) -> Option<&Import> {
        self.imports.iter().find(|import| import.name == name)
    }
}

/// The module that a file holds. `main.rs` is a crate of its own beside the library.
pub(crate) fn module_of(path: &str) -> Names {
    if path == "src/main.rs" {
        return vec!["main".to_owned()];
    }
    let (name, folder) = CRATES.iter().find(|(_, folder)| path.starts_with(folder)).expect("a path of a crate");
    let inner = path[folder.len()..].trim_start_matches('/').trim_end_matches(".rs");
    let mut module: Names = [*name].into_iter().chain(inner.split('/')).map(str::to_owned).collect();
    if inner == "lib" || inner == "mod" || inner.ends_with("/mod") {
        module.pop();
    }
    module
}

/// Walks over the tokens of a file.
pub(crate) struct Scan<'a> {
    pub(crate) tokens: &'a [Token],
    pub(crate) at: usize,
    /// The module of the file and the inline modules that are open, each with its depth in braces.
    pub(crate) scopes: Vec<(usize, Names)>,
    pub(crate) imports: Vec<Import>,
    pub(crate) depth: usize,
}

impl Scan<'_> {
    /// Collects all imports, and returns the names that the file defines.
    pub(crate) fn run(&mut self) -> HashSet<String> {
        let mut items = HashSet::new();
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" => self.depth += 1,
                "}" => self.close(),
                "use" => {
                    self.at += 1;
                    self.use_tree(&[]);
                    continue;
                }
                "mod" if self.peek(2) == "{" => self.open_module(),
                "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static" if self.depth == 0 => {
                    items.insert(self.peek(1).to_owned());
                }
                _ if self.begins_path() => self.inline_path(),
                _ => {}
            }
            self.at += 1;
        }
        items
    }

    pub(crate) fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    pub(crate) fn before(&self, back: usize) -> &str {
        self.at.checked_sub(back).map_or("", |at| &self.tokens[at].text)
    }

    pub(crate) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.scopes.len() > 1 && self.scopes.last().is_some_and(|(depth, _)| *depth > self.depth) {
            self.scopes.pop();
        }
    }

    pub(crate) fn open_module(&mut self) {
        let module = [self.module(), vec![self.peek(1).to_owned()]].concat();
        self.scopes.push((self.depth + 1, module));
    }

    pub(crate) fn module(&self) -> Names {
        self.scopes.last().map(|(_, module)| module.clone()).unwrap_or_default()
    }

    /// `pub(in crate::a)` names a module without importing from it.
    pub(crate) fn begins_path(&self) -> bool {
        let is_visibility = self.before(1) == "in" && self.before(2) == "(" && self.before(3) == "pub";
        let goes_on = self.before(1) == "::" && (is_name(self.before(2)) || self.before(2) == ">");
        is_name(self.peek(0)) && self.peek(1) == "::" && !goes_on && !is_visibility
    }

    pub(crate) fn inline_path(&mut self) {
        let mut path = vec![self.peek(0).to_owned()];
        let line = self.tokens[self.at].line;
        while self.peek(1) == "::" && is_name(self.peek(2)) {
            path.push(self.peek(2).to_owned());
            self.at += 2;
        }
        self.imports.push(Import { module: self.module(), path, name: String::new(), line });
    }

    /// Reads one tree of a `use`, up to the sign behind it.
    pub(crate) fn use_tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        loop {
            match self.peek(0) {
                "{" => return self.use_group(&path),
                "*" => break,
                "::" => {}
                "self" if !path.is_empty() => {}
                name if is_name(name) => path.push(name.to_owned()),
                _ => return,
            }
            if self.peek(0) != "::" && self.peek(1) != "::" {
                break;
            }
            self.at += 1;
        }
        let line = self.tokens[self.at].line;
        let mut name = if self.peek(0) == "*" { Some("*".to_owned()) } else { path.last().cloned() };
        self.at += 1;
        if self.peek(0) == "as" {
            name = Some(self.peek(1).to_owned());
            self.at += 2;
        }
        if let Some(name) = name.filter(|_| !path.is_empty()) {
            self.imports.push(Import { module: self.module(), path, name, line });
        }
    }

    pub(crate) fn use_group(&mut self, path: &[String]) {
        self.at += 1;
        while !matches!(self.peek(0), "}" | "") {
            let start = self.at;
            self.use_tree(path);
            // Past a comma, and past whatever cannot be read.
            self.at += usize::from(self.peek(0) == "," || self.at == start);
        }
        self.at += 1;
    }
}
