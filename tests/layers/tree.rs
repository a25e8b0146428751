//! The modules of a crate as its `mod` declarations make them, and what a path written in
//! one of them means: through renames, globs, re-exports and the names of other crates.
//! Tests are left out. Knows no layer and no rule.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Item};

use super::collect::{Module, Said, Use};
use super::gated;
use super::lexed::{Lexed, Place};
use super::sources::Sources;

/// All modules of the crate that aren't tests, by their path: `crate` for `lib.rs`,
/// `main` for `main.rs`, `crate::record::flow` for `record/flow.rs`.
#[derive(Debug, Default)]
pub struct Tree {
    /// The library's name, by which `main.rs` knows it.
    library: String,
    /// The modules.
    pub modules: BTreeMap<String, Module>,
    /// The files that hold nothing but tests.
    pub tests: BTreeSet<String>,
    /// Lines with `unsafe`, by file.
    pub unsafes: Vec<Place>,
    /// Lines of an `allow` without a reason, by file.
    pub unreasoned: Vec<Place>,
    /// What the walk could not follow: file, line and why.
    pub lost: Vec<(Place, String)>,
}

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A module of the crate, or an item that it defines.
    Inside {
        /// The module's path.
        module: String,
        /// The item; none for the module itself.
        item: Option<String>,
    },
    /// A path in another crate.
    Beyond(Vec<String>),
}

/// Module and name, to notice re-exports in a circle.
type Seen = BTreeSet<(String, String)>;

impl Tree {
    /// The tree that grows from `src/lib.rs` and `src/main.rs` in `package`'s directory,
    /// with a slash at its end.
    pub fn grow(sources: &Sources, library: &str, package: &str) -> Self {
        let mut tree = Self { library: library.to_owned(), ..Self::default() };
        for (name, file) in [("crate", "src/lib.rs"), ("main", "src/main.rs")] {
            let file = format!("{package}{file}");
            if sources.0.contains_key(&file) {
                tree.file(sources, name, &file, &format!("{package}src"), false);
            }
        }
        let found: BTreeSet<&str> = tree.modules.values().map(|m| m.file.as_str()).collect();
        for file in sources.0.keys() {
            if !found.contains(file.as_str()) && !tree.tests.contains(file) {
                tree.lost.push(((file.clone(), 1), "no `mod` declaration leads here".to_owned()));
            }
        }
        tree
    }

    /// What `said` means in the module `at`.
    pub fn meaning(&self, at: &str, said: &Said) -> Vec<Target> {
        self.resolve(at, &said.names, said.rooted, &mut Seen::new())
    }

    /// All modules that a glob of a module would bring in by re-exports, itself with them.
    pub fn meaning_of_glob(&self, at: &str, said: &Said) -> Vec<Target> {
        let mut found = self.meaning(at, said);
        for target in found.clone() {
            let Target::Inside { module, item: None } = &target else { continue };
            for reexport in self.uses_of(module).iter().filter(|u| u.visible) {
                found.extend(self.meaning(module, &reexport.said));
            }
        }
        found
    }

    fn file(&mut self, sources: &Sources, module: &str, file: &str, dir: &str, test: bool) {
        let lexed = Lexed::of(file, sources.text(file));
        self.unsafes.extend(lexed.unsafes.iter().map(|line| (file.to_owned(), *line)));
        self.unreasoned.extend(lexed.unreasoned.iter().map(|line| (file.to_owned(), *line)));
        let (syntax, left_out) = lexed.syntax();
        let test = test || gated::for_tests(&syntax.attrs);
        if test {
            self.tests.insert(file.to_owned());
        }
        self.enter(sources, module, file, dir, &syntax.items, test);
        if let Some(module) = self.modules.get_mut(module).filter(|_| !test) {
            module.tests.extend(left_out);
        }
    }

    /// `dir` is where files of submodules are.
    fn enter(
        &mut self,
        sources: &Sources,
        module: &str,
        file: &str,
        dir: &str,
        items: &[Item],
        test: bool,
    ) {
        let mut facts = Module::of(file, items);
        for item in items {
            let Item::Mod(sub) = item else { continue };
            let name = sub.ident.to_string();
            let (path, below) = (format!("{module}::{name}"), format!("{dir}/{name}"));
            let test = test || gated::for_tests(&sub.attrs);
            if !test {
                facts.children.insert(name);
            }
            if has_path(&sub.attrs) {
                let line = sub.ident.span().start().line;
                self.lose(file, line, "`#[path]` hides where code is");
            }
            match &sub.content {
                Some((_, items)) if !test => {
                    self.enter(sources, &path, file, &below, items, test);
                }
                Some(_) => {}
                None => {
                    let files = [format!("{below}.rs"), format!("{below}/mod.rs")];
                    match files.iter().find(|file| sources.0.contains_key(*file)) {
                        Some(file) => self.file(sources, &path, file, &below, test),
                        None => {
                            let line = sub.ident.span().start().line;
                            self.lose(file, line, &format!("there is no {}", files[0]));
                        }
                    }
                }
            }
        }
        if !test {
            self.modules.insert(module.to_owned(), facts);
        }
    }

    fn lose(&mut self, file: &str, line: usize, why: &str) {
        self.lost.push(((file.to_owned(), line), why.to_owned()));
    }

    fn uses_of(&self, module: &str) -> &[Use] {
        self.modules.get(module).map_or(&[], |m| &m.uses)
    }

    /// A path as it is written in `at`: the first name may be a keyword, a name in scope,
    /// or a crate.
    fn resolve(&self, at: &str, names: &[String], rooted: bool, seen: &mut Seen) -> Vec<Target> {
        let Some(first) = names.first() else { return Vec::new() };
        let root = at.split("::").next().unwrap_or(at);
        match first.as_str() {
            _ if rooted => self.beyond(names, seen),
            "crate" => self.descend(root, &names[1..], seen),
            "self" | "super" => self.descend(at, names, seen),
            "Self" => Vec::new(),
            name if self.defines(at, name, &mut seen.clone()) => {
                self.descend_or(at, names, seen, || Target::Beyond(names.to_vec()))
            }
            _ => self.beyond(names, seen),
        }
    }

    fn beyond(&self, names: &[String], seen: &mut Seen) -> Vec<Target> {
        match names {
            [first, rest @ ..] if *first == self.library => self.descend("crate", rest, seen),
            _ => vec![Target::Beyond(names.to_vec())],
        }
    }

    fn descend(&self, at: &str, names: &[String], seen: &mut Seen) -> Vec<Target> {
        let item = names.first().cloned();
        let module = at.to_owned();
        self.descend_or(at, names, seen, || Target::Inside { module, item })
    }

    /// The names from the module `at` on; what nobody defines is `otherwise`.
    fn descend_or(
        &self,
        at: &str,
        names: &[String],
        seen: &mut Seen,
        otherwise: impl FnOnce() -> Target,
    ) -> Vec<Target> {
        let Some((name, rest)) = names.split_first() else {
            return vec![Target::Inside { module: at.to_owned(), item: None }];
        };
        match name.as_str() {
            "self" => return self.descend(at, rest, seen),
            "super" => {
                let above = at.rsplit_once("::").map_or(at, |(above, _)| above);
                return self.descend(above, rest, seen);
            }
            _ => {}
        }
        let Some(module) = self.modules.get(at) else { return vec![otherwise()] };
        let mut found = Vec::new();
        let child = module.children.contains(name);
        if child {
            found.extend(self.descend(&format!("{at}::{name}"), rest, seen));
        }
        if module.items.contains(name) {
            found.push(Target::Inside { module: at.to_owned(), item: Some(name.clone()) });
        }
        // A module and a function may have the same name; what has a path after it is the
        // module.
        if (!child || rest.is_empty()) && seen.insert((at.to_owned(), name.clone())) {
            for import in module.uses.iter().filter(|u| u.name.as_ref() == Some(name)) {
                let full: Vec<String> = import.said.names.iter().chain(rest).cloned().collect();
                found.extend(match full.first() == Some(name) && !import.said.rooted && !child {
                    // `use name::..` can't mean itself: it is another crate's.
                    true if !module.items.contains(name) => self.by_glob_or_beyond(at, &full, seen),
                    _ => self.resolve(at, &full, import.said.rooted, seen),
                });
            }
            seen.remove(&(at.to_owned(), name.clone()));
        }
        if found.is_empty() {
            found = self.by_glob(at, names, seen);
        }
        if found.is_empty() { vec![otherwise()] } else { found }
    }

    fn by_glob_or_beyond(&self, at: &str, names: &[String], seen: &mut Seen) -> Vec<Target> {
        let found = self.by_glob(at, names, seen);
        if found.is_empty() { self.beyond(names, seen) } else { found }
    }

    fn by_glob(&self, at: &str, names: &[String], seen: &mut Seen) -> Vec<Target> {
        let mut found = Vec::new();
        let Some(name) = names.first() else { return found };
        let looking = (at.to_owned(), format!("*{name}"));
        if !seen.insert(looking.clone()) {
            return found;
        }
        for module in self.globbed(at, seen) {
            if self.defines(&module, name, &mut seen.clone()) {
                found.extend(self.descend(&module, names, seen));
            }
        }
        seen.remove(&looking);
        found
    }

    /// The modules whose names `at` has by globs.
    fn globbed(&self, at: &str, seen: &mut Seen) -> Vec<String> {
        let mut found = Vec::new();
        if !seen.insert((at.to_owned(), "*".to_owned())) {
            return found;
        }
        for glob in self.uses_of(at).iter().filter(|u| u.glob) {
            for target in self.resolve(at, &glob.said.names, glob.said.rooted, seen) {
                if let Target::Inside { module, item: None } = target {
                    found.push(module);
                }
            }
        }
        seen.remove(&(at.to_owned(), "*".to_owned()));
        found
    }

    fn defines(&self, at: &str, name: &str, seen: &mut Seen) -> bool {
        let Some(module) = self.modules.get(at) else { return false };
        module.children.contains(name)
            || module.items.contains(name)
            || module.uses.iter().any(|u| u.name.as_deref() == Some(name))
            || (seen.insert((at.to_owned(), format!("?{name}")))
                && self.globbed(at, seen).iter().any(|m| self.defines(m, name, seen)))
    }
}

fn has_path(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().is_ident("path"))
}
