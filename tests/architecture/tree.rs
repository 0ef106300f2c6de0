//! The modules of all crates, what each imports, and the rules that an import breaks.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
};

use super::{
    ALLOWED_CIRCLES, LAYERS, LIBRARIES, MOST_STEPS,
    source_file::{File, Import},
};

/// A path of names that begins with the name of a crate: `["signet", "store", "users"]`.
pub(crate) type Names = Vec<String>;

/// All files that are compiled into the crates, without test code.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    pub(crate) modules: HashMap<Names, usize>,
}

/// What a path leads to.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    File(usize),
    /// A crate from outside, or a name that is no crate at all (a type of the same file, a generic parameter).
    Outside(&'a str),
}

impl Tree {
    pub(crate) fn new(source: &BTreeMap<String, String>) -> Self {
        let mut files: Vec<_> = source.iter().map(|(path, text)| File::new(path, text)).collect();
        let tests: Vec<_> = files.iter().flat_map(|file| file.test_modules.clone()).collect();
        files.retain(|file| !file.is_named_as_test() && !tests.iter().any(|test| file.module.starts_with(test)));
        let modules = files.iter().enumerate().map(|(index, file)| (file.module.clone(), index)).collect();
        Self { files, modules }
    }

    /// One line for each import that a rule forbids, once for each pair of a file and what it imports.
    pub(crate) fn upward_imports(&self) -> Vec<String> {
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
    pub(crate) fn circles(&self) -> Vec<String> {
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
    pub(crate) fn edges(&self) -> Vec<BTreeMap<usize, usize>> {
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

    pub(crate) fn is_allowed(&self, circle: &[usize]) -> bool {
        let paths: Vec<_> = circle.iter().map(|index| self.files[*index].path.as_str()).collect();
        ALLOWED_CIRCLES.iter().any(|(allowed, _)| *allowed == paths)
    }

    pub(crate) fn describe(&self, circle: &[usize], edges: &[BTreeMap<usize, usize>]) -> String {
        let mut text = format!("a circle of {} files:", circle.len());
        for from in circle {
            for (to, line) in edges[*from].iter().filter(|(to, _)| circle.contains(to)) {
                let _ = write!(text, "\n  {}:{line} imports {}", self.files[*from].path, self.files[*to].path);
            }
        }
        text
    }

    /// The path of an import, from its crate down. Its first name may be a child module or a name that the file imported.
    pub(crate) fn absolute(&self, file: &File, import: &Import, steps: u8) -> Names {
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
    pub(crate) fn target<'a>(&self, path: &'a [String], steps: u8) -> Target<'a> {
        let length = (1..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]));
        let Some(length) = length else { return Target::Outside(path.first().map_or("", String::as_str)) };
        let index = self.modules[&path[..length]];
        path.get(length)
            .filter(|name| steps > 0 && !self.files[index].items.contains(*name))
            .and_then(|name| self.re_exported(&self.files[index], name, &path[length + 1..], steps - 1))
            .map_or(Target::File(index), Target::File)
    }

    /// The file that `file` has a name from, if it is one of ours.
    pub(crate) fn re_exported(&self, file: &File, name: &str, rest: &[String], steps: u8) -> Option<usize> {
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

pub(crate) fn reachable(edges: &[BTreeMap<usize, usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<_> = edges[from].keys().copied().collect();
    while let Some(next) = waiting.pop() {
        if reached.insert(next) {
            waiting.extend(edges[next].keys());
        }
    }
    reached
}

pub(crate) fn forbidden_library(layer: &str, name: &str) -> Option<String> {
    let (_, users) = LIBRARIES.iter().find(|(library, users)| *library == name && !users.contains(&layer))?;
    Some(format!("`{layer}` must not name {name}; only {} may", users.join(", ")))
}
