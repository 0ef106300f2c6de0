//! Holds the layers of the source tree: imports point down only, and no files import one another in a circle.
//!
//! The compiler accepts any import inside a crate, so this test reads the source. It strips comments, literals and test
//! code, collects every path (`use` trees and paths in code), and resolves each one to the file that defines it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Write as _,
    fs,
    path::Path,
};

/// Each layer of the service and each crate beside it, with what it may import. A layer may always import itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", EVERYTHING),
    // Re-exports what integration tests and fuzz targets need.
    ("testing", TESTED),
    ("cli", &["app", "config", "services", "domain"]),
    ("app", EVERYTHING),
    ("config", &["domain"]),
    ("http", &["services", "domain"]),
    ("services", &["crypto", "store", "outbound", "domain"]),
    ("crypto", &["domain"]),
    ("store", &["domain", "entity", "migration"]),
    ("outbound", &["domain"]),
    ("domain", &[]),
    ("entity", &[]),
    ("migration", &[]),
    ("listener", &[]),
    ("verifier", &[]),
];

/// All that lies below `app`.
const EVERYTHING: &[&str] =
    &["config", "http", "services", "crypto", "store", "outbound", "domain", "entity", "migration", "listener"];

/// All that tests and fuzz targets may reach.
const TESTED: &[&str] = &["app", "config", "http", "services", "crypto", "store", "outbound", "domain"];

/// Libraries that only some layers may name, so that a change of library stays in one place.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("sea_orm", &["store", "entity", "migration"]),
    ("sea_orm_migration", &["store", "migration"]),
    // The verifier is a crate for other services and cannot share the issuer's `crypto`.
    ("jsonwebtoken", &["crypto", "verifier"]),
];

/// Circles that may stay, each with its reason. A larger circle around the same files is still an error.
const ALLOWED_CIRCLES: &[(&[&str], &str)] = &[(
    &["verifier/src/builder.rs", "verifier/src/verifier.rs"],
    "a type and its builder name each other: `Verifier::builder()` makes the builder, and `build()` makes the verifier",
)];

/// Where the source of each crate lies. The service comes last, since its folder has no prefix of its own.
const CRATES: &[(&str, &str)] = &[
    ("entity", "entity/src"),
    ("listener", "listener/src"),
    ("migration", "migration/src"),
    ("verifier", "verifier/src"),
    ("signet", "src"),
];

/// How many re-exports and local names are followed for one path, so that names bound in a loop end.
const MOST_STEPS: u8 = 8;

#[test]
fn no_import_points_upward() {
    let found = Tree::new(&source()).upward_imports();
    assert!(found.is_empty(), "{} forbidden imports:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_circle_between_files() {
    let found = Tree::new(&source()).circles();
    assert!(found.is_empty(), "{} circles between files:\n{}", found.len(), found.join("\n"));
}

/// A renamed folder would otherwise leave a rule that nothing is held to.
#[test]
fn every_layer_has_files() {
    let tree = Tree::new(&source());
    let present: HashSet<_> = tree.files.iter().map(File::layer).collect();
    let missing: Vec<_> = LAYERS.iter().map(|(layer, _)| *layer).filter(|layer| !present.contains(layer)).collect();
    assert!(missing.is_empty(), "layers without a file: {missing:?}");
}

#[test]
fn a_planted_upward_import_is_found() {
    let tree = planted(&[
        ("src/domain/user.rs", "use std::fmt;\nuse crate::{\n    store::users::{self, Row as _},\n};"),
        ("src/crypto/seal.rs", "fn seal() { crate::store::users::find() }"),
        ("src/http/page.rs", "use crate::services::Session;\nfn page() { sea_orm::connect() }"),
        ("src/services/mod.rs", "mod login;\npub use login::Session;"),
        ("src/services/login.rs", "pub use crate::store::users::Row as Session;"),
        ("src/store/users.rs", "pub struct Row;"),
        ("src/sessions/mod.rs", ""),
        ("entity/src/user.rs", "use migration::Migrator;"),
        ("migration/src/lib.rs", "pub struct Migrator;"),
    ]);
    let found = tree.upward_imports();
    let places: Vec<_> = found.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(
        places,
        [
            "entity/src/user.rs:1",
            "src/crypto/seal.rs:1",
            "src/domain/user.rs:3",
            "src/http/page.rs:1",
            "src/http/page.rs:2",
            "src/sessions/mod.rs:1",
        ],
        "{found:#?}"
    );
}

#[test]
fn a_planted_circle_is_found() {
    let tree = planted(&[
        ("src/domain/mod.rs", "mod a; mod b; mod c;\npub use b::B;"),
        ("src/domain/a.rs", "use super::B;\npub struct A;"),
        ("src/domain/b.rs", "use super::c;\npub struct B(c::C);"),
        ("src/domain/c.rs", "pub struct C;\nfn make() -> super::a::A {}"),
    ]);
    let found = tree.circles();
    assert_eq!(found.len(), 1, "{found:#?}");
    for (from, to) in [("a.rs:1", "b.rs"), ("b.rs:1", "c.rs"), ("c.rs:2", "a.rs")] {
        let edge = format!("src/domain/{from} imports src/domain/{to}");
        assert!(found[0].contains(&edge), "{edge} is not in {}", found[0]);
    }
}

#[test]
fn a_parent_and_a_child_that_import_each_other_are_a_circle() {
    let parent = "mod child;\nuse self::child::Y;\npub struct X;";
    let mutual = planted(&[("src/domain/a.rs", parent), ("src/domain/a/child.rs", "use super::X;\npub struct Y;")]);
    assert_eq!(mutual.circles().len(), 1);
    let one_way = planted(&[("src/domain/a.rs", parent), ("src/domain/a/child.rs", "pub struct Y;")]);
    assert_eq!(one_way.circles(), [""; 0]);
}

#[test]
fn glob_re_exports_are_followed() {
    let tree = planted(&[
        ("src/domain/mod.rs", "mod a; mod b;\npub use a::*;"),
        ("src/domain/a.rs", "use super::b::B;\npub struct A;"),
        ("src/domain/b.rs", "use super::A;\npub struct B;"),
    ]);
    let found = tree.circles();
    assert!(found.len() == 1 && !found[0].contains("mod.rs"), "{found:#?}");
}

#[test]
fn comments_literals_and_test_code_import_nothing() {
    let text = r##"
        // use crate::http::A;
        /* use crate::http::B; /* nested */ use crate::http::C; */
        const TEXT: &str = "\" crate::http::D"; const RAW: &str = r#"" crate::http::E"#; const QUOTE: char = '"';
        fn f<'a>(x: &'a str) { /* ' */ }
        pub(in crate::http) struct S;
        #[cfg(test)] use crate::http::{F};
        #[cfg(any(test, fuzzing))] mod checks;
        #[cfg(test)] mod inline { use crate::http::G; }
    "##;
    let upward = "use crate::http::H;";
    let tree = planted(&[
        ("src/domain/mod.rs", text),
        ("src/domain/checks.rs", upward),
        ("src/domain/laws.rs", upward),
        ("src/domain/tests/more.rs", upward),
        ("src/http/mod.rs", ""),
    ]);
    assert_eq!(tree.upward_imports(), [""; 0]);
}

/// Path and text of every source file of every crate.
fn source() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (_, folder) in CRATES {
        read_folder(folder, &mut found);
    }
    found
}

fn read_folder(folder: &str, found: &mut BTreeMap<String, String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            read_folder(&path, found);
        } else if Path::new(&path).extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            found.insert(path, text);
        }
    }
}

fn planted(files: &[(&str, &str)]) -> Tree {
    Tree::new(&files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

/// A path of names that begins with the name of a crate: `["signet", "store", "users"]`.
type Names = Vec<String>;

/// All files that are compiled into the crates, without test code.
struct Tree {
    files: Vec<File>,
    modules: HashMap<Names, usize>,
}

/// What a path leads to.
#[derive(Clone, Copy)]
enum Target<'a> {
    File(usize),
    /// A crate from outside, or a name that is no crate at all (a type of the same file, a generic parameter).
    Outside(&'a str),
}

impl Tree {
    fn new(source: &BTreeMap<String, String>) -> Self {
        let mut files: Vec<_> = source.iter().map(|(path, text)| File::new(path, text)).collect();
        let tests: Vec<_> = files.iter().flat_map(|file| file.test_modules.clone()).collect();
        files.retain(|file| !file.is_named_as_test() && !tests.iter().any(|test| file.module.starts_with(test)));
        let modules = files.iter().enumerate().map(|(index, file)| (file.module.clone(), index)).collect();
        Self { files, modules }
    }

    /// One line for each import that a rule forbids, once for each pair of a file and what it imports.
    fn upward_imports(&self) -> Vec<String> {
        let mut found = Vec::new();
        for file in &self.files {
            let mut seen = BTreeSet::new();
            let Some((layer, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == file.layer()) else {
                found.push(format!("{}:1 lies in no layer: add `{}` to LAYERS", file.path, file.layer()));
                continue;
            };
            for import in &file.imports {
                let path = self.absolute(file, import, MOST_STEPS);
                let problem = match self.target(&path, MOST_STEPS) {
                    Target::File(index) => self.files[index].forbidden_to(layer, allowed),
                    Target::Outside(name) => forbidden_library(layer, name),
                };
                if let Some(problem) = problem.filter(|problem| seen.insert(problem.clone())) {
                    found.push(format!("{}:{} imports {}: {problem}", file.path, import.line, path.join("::")));
                }
            }
        }
        found
    }

    /// A paragraph for each circle: its files, and the imports that tie it.
    fn circles(&self) -> Vec<String> {
        let edges = self.edges();
        let reached: Vec<_> = (0..self.files.len()).map(|from| reachable(&edges, from)).collect();
        let mut found = Vec::new();
        for from in 0..self.files.len() {
            let circle: Vec<_> = reached[from].iter().copied().filter(|to| reached[*to].contains(&from)).collect();
            // Each circle is told once, by its first file.
            if circle.first() == Some(&from) && !self.is_allowed(&circle) {
                found.push(self.describe(&circle, &edges));
            }
        }
        found
    }

    /// For each file, the other files of its crate that it imports, with the first line that does.
    fn edges(&self) -> Vec<BTreeMap<usize, usize>> {
        let mut edges = vec![BTreeMap::new(); self.files.len()];
        for (from, file) in self.files.iter().enumerate() {
            for import in &file.imports {
                let path = self.absolute(file, import, MOST_STEPS);
                if let Target::File(to) = self.target(&path, MOST_STEPS)
                    && to != from
                    && self.files[to].module[0] == file.module[0]
                {
                    edges[from].entry(to).or_insert(import.line);
                }
            }
        }
        edges
    }

    fn is_allowed(&self, circle: &[usize]) -> bool {
        let paths: Vec<_> = circle.iter().map(|index| self.files[*index].path.as_str()).collect();
        ALLOWED_CIRCLES.iter().any(|(allowed, _)| *allowed == paths)
    }

    fn describe(&self, circle: &[usize], edges: &[BTreeMap<usize, usize>]) -> String {
        let mut text = format!("a circle of {} files:", circle.len());
        for from in circle {
            for (to, line) in edges[*from].iter().filter(|(to, _)| circle.contains(to)) {
                let _ = write!(text, "\n  {}:{line} imports {}", self.files[*from].path, self.files[*to].path);
            }
        }
        text
    }

    /// The path of an import, from its crate down. Its first name may be a child module or a name that the file imported.
    fn absolute(&self, file: &File, import: &Import, steps: u8) -> Names {
        let mut path = import.module.clone();
        let mut names = import.path.as_slice();
        match names[0].as_str() {
            "crate" => path.truncate(1),
            "self" | "super" => {}
            first => {
                path.push(first.to_owned());
                if !self.modules.contains_key(&path) {
                    let bound = file.binding(first).filter(|bound| bound.path[0] != first && steps > 0);
                    path = bound.map_or_else(|| vec![first.to_owned()], |bound| self.absolute(file, bound, steps - 1));
                }
            }
        }
        if names[0] != "super" {
            names = &names[1..];
        }
        while names.first().is_some_and(|name| name == "super") {
            path.pop();
            names = &names[1..];
        }
        path.extend_from_slice(names);
        path
    }

    /// The file that defines what a path names, past re-exports.
    fn target<'a>(&self, path: &'a [String], steps: u8) -> Target<'a> {
        let length = (1..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]));
        let Some(length) = length else { return Target::Outside(path.first().map_or("", String::as_str)) };
        let index = self.modules[&path[..length]];
        path.get(length)
            .filter(|name| steps > 0 && !self.files[index].items.contains(*name))
            .and_then(|name| self.re_exported(&self.files[index], name, &path[length + 1..], steps - 1))
            .map_or(Target::File(index), Target::File)
    }

    /// The file that `file` has a name from, if it is one of ours.
    fn re_exported(&self, file: &File, name: &str, rest: &[String], steps: u8) -> Option<usize> {
        if let Some(import) = file.binding(name) {
            let mut path = self.absolute(file, import, steps);
            path.extend_from_slice(rest);
            let Target::File(index) = self.target(&path, steps) else { return None };
            return Some(index);
        }
        file.imports.iter().filter(|import| import.name == "*").find_map(|import| {
            let mut path = self.absolute(file, import, steps);
            path.push(name.to_owned());
            let Target::File(index) = self.target(&path, steps) else { return None };
            self.files[index].items.contains(name).then_some(index)
        })
    }
}

fn reachable(edges: &[BTreeMap<usize, usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<_> = edges[from].keys().copied().collect();
    while let Some(next) = waiting.pop() {
        if reached.insert(next) {
            waiting.extend(edges[next].keys());
        }
    }
    reached
}

fn forbidden_library(layer: &str, name: &str) -> Option<String> {
    let (_, users) = LIBRARIES.iter().find(|(library, users)| *library == name && !users.contains(&layer))?;
    Some(format!("`{layer}` must not name {name}; only {} may", users.join(", ")))
}

/// One source file, as far as imports are concerned.
struct File {
    path: String,
    module: Names,
    imports: Vec<Import>,
    /// Names that the file defines itself.
    items: HashSet<String>,
    test_modules: Vec<Names>,
}

/// One path that a file names.
struct Import {
    /// The module that the path is seen from.
    module: Names,
    path: Names,
    /// The name that a `use` binds, `*` for a glob, or nothing for a path in code.
    name: String,
    line: usize,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let module = module_of(path);
        let (tokens, tests) = without_tests(&tokens(&code_only(text)));
        let test_modules = tests.into_iter().map(|name| [module.clone(), vec![name]].concat()).collect();
        let mut scan = Scan { tokens: &tokens, at: 0, scopes: vec![(0, module.clone())], imports: vec![], depth: 0 };
        let items = scan.run();
        Self { path: path.to_owned(), module, imports: scan.imports, items, test_modules }
    }

    fn is_named_as_test(&self) -> bool {
        let names: Vec<_> = self.path.split('/').collect();
        names.contains(&"tests")
            || ["tests.rs", "laws.rs", "properties.rs", "corpus.rs"].iter().any(|name| names.last() == Some(name))
    }

    fn layer(&self) -> &str {
        match self.module[0].as_str() {
            "signet" => self.module.get(1).map_or("lib", String::as_str),
            other => other,
        }
    }

    fn forbidden_to(&self, layer: &str, allowed: &[&str]) -> Option<String> {
        let own = self.layer();
        let allowed_names = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
        (own != layer && !allowed.contains(&own))
            .then(|| format!("`{layer}` must not import `{own}` ({}); it may import {allowed_names}", self.path))
    }

    fn binding(&self, name: &str) -> Option<&Import> {
        self.imports.iter().find(|import| import.name == name)
    }
}

/// The module that a file holds. `main.rs` is a crate of its own beside the library.
fn module_of(path: &str) -> Names {
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

/// A name or a sign, with its line.
#[derive(Clone)]
struct Token {
    text: String,
    line: usize,
}

/// Walks over the tokens of a file.
struct Scan<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The module of the file and the inline modules that are open, each with its depth in braces.
    scopes: Vec<(usize, Names)>,
    imports: Vec<Import>,
    depth: usize,
}

impl Scan<'_> {
    /// Collects all imports, and returns the names that the file defines.
    fn run(&mut self) -> HashSet<String> {
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

    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    fn before(&self, back: usize) -> &str {
        self.at.checked_sub(back).map_or("", |at| &self.tokens[at].text)
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.scopes.len() > 1 && self.scopes.last().is_some_and(|(depth, _)| *depth > self.depth) {
            self.scopes.pop();
        }
    }

    fn open_module(&mut self) {
        let module = [self.module(), vec![self.peek(1).to_owned()]].concat();
        self.scopes.push((self.depth + 1, module));
    }

    fn module(&self) -> Names {
        self.scopes.last().map(|(_, module)| module.clone()).unwrap_or_default()
    }

    /// `pub(in crate::a)` names a module without importing from it.
    fn begins_path(&self) -> bool {
        let is_visibility = self.before(1) == "in" && self.before(2) == "(" && self.before(3) == "pub";
        let goes_on = self.before(1) == "::" && (is_name(self.before(2)) || self.before(2) == ">");
        is_name(self.peek(0)) && self.peek(1) == "::" && !goes_on && !is_visibility
    }

    fn inline_path(&mut self) {
        let mut path = vec![self.peek(0).to_owned()];
        let line = self.tokens[self.at].line;
        while self.peek(1) == "::" && is_name(self.peek(2)) {
            path.push(self.peek(2).to_owned());
            self.at += 2;
        }
        self.imports.push(Import { module: self.module(), path, name: String::new(), line });
    }

    /// Reads one tree of a `use`, up to the sign behind it.
    fn use_tree(&mut self, prefix: &[String]) {
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

    fn use_group(&mut self, path: &[String]) {
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

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn tokens(code: &str) -> Vec<Token> {
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
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
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
fn end_of_attribute(tokens: &[Token], at: usize) -> usize {
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
fn end_of_item(tokens: &[Token], from: usize) -> usize {
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
fn code_only(text: &str) -> String {
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
fn skipped_length(rest: &str) -> usize {
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
fn comment_length(rest: &str) -> usize {
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

fn escaped_length(rest: &str, quote: char) -> usize {
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
fn raw_length(rest: &str) -> usize {
    let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
    let Some(body) = rest[1 + hashes..].strip_prefix('"') else { return 0 };
    let end = format!("\"{}", "#".repeat(hashes));
    body.find(&end).map_or(rest.len(), |at| hashes + 2 + at + end.len())
}
