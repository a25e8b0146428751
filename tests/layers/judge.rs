//! The rules of the table, applied to a module tree. Knows what a breach is; neither reads
//! files nor decides who stands where.

use std::collections::BTreeSet;
use std::fmt;

use super::collect::{Module, Said};
use super::lexed::Place;
use super::table::{EXCEPTIONS, Layer, OWNED, PLAIN, REACHING, TABLE, WORLD};
use super::tree::{Target, Tree};

/// One import, or other deed, that a rule forbids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// Where: file and line.
    pub place: Place,
    /// Which module does it.
    pub importer: String,
    /// What it imports.
    pub imported: String,
    /// The rule.
    pub rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: (file, line), importer, imported, rule } = self;
        write!(f, "{file}:{line}: {importer} imports {imported}: {rule}")
    }
}

/// Everything against the table, each import once, at its first line.
pub fn breaches(tree: &Tree) -> Vec<Breach> {
    let mut found = BTreeSet::new();
    for (path, module) in &tree.modules {
        let Some((_, layer)) = entry(short(path)) else { continue };
        let clerk = Clerk { tree, path, module, layer };
        clerk.imports(&mut found);
        clerk.methods(&mut found);
    }
    let mut told = BTreeSet::new();
    let first = |b: &Breach| told.insert((b.importer.clone(), b.imported.clone(), b.rule.clone()));
    found.into_iter().filter(first).collect()
}

/// Those that no exception lets stand.
pub fn unexcused(found: &[Breach]) -> Vec<&Breach> {
    found.iter().filter(|b| !EXCEPTIONS.iter().any(|e| excuses(e, b))).collect()
}

/// Exceptions that no import needs.
pub fn idle_exceptions(found: &[Breach]) -> Vec<String> {
    let idle = EXCEPTIONS.iter().filter(|e| !found.iter().any(|b| excuses(e, b)));
    idle.map(|(importer, imported, _)| format!("{importer} no longer imports {imported}")).collect()
}

/// Modules without an entry, and entries without a module.
pub fn gaps_in_the_table(tree: &Tree) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut used = BTreeSet::new();
    for (path, module) in &tree.modules {
        match entry(short(path)) {
            Some((name, _)) => {
                used.insert(name);
            }
            None => gaps.push(format!(
                "{}: {} has no layer; give it one in TABLE of tests/layers/table.rs",
                module.file,
                short(path)
            )),
        }
    }
    let idle = TABLE.iter().filter(|(name, _)| !used.contains(name));
    gaps.extend(idle.map(|(name, _)| format!("TABLE has {name}, and src/ has not")));
    gaps
}

/// Doors that hold more than doors.
pub fn doors_with_rooms_of_their_own(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, module) in &tree.modules {
        if matches!(entry(short(path)), Some((_, Layer::Door))) && module.has_code {
            let name = short(path);
            found.push(format!("{}: {name} is a door, and holds code of its own", module.file));
        }
    }
    found
}

/// Looks through one module.
struct Clerk<'a> {
    tree: &'a Tree,
    path: &'a str,
    module: &'a Module,
    layer: Layer,
}

impl Clerk<'_> {
    fn imports(&self, found: &mut BTreeSet<Breach>) {
        for import in &self.module.uses {
            let targets = match import.glob {
                true => self.tree.meaning_of_glob(self.path, &import.said),
                false => self.tree.meaning(self.path, &import.said),
            };
            // Who re-exports its own room opens a door; who goes through it is charged.
            if import.visible && targets.iter().all(|target| self.is_room(target)) {
                continue;
            }
            for target in &targets {
                self.charge(&import.said, target, import.glob, found);
            }
        }
        for said in &self.module.mentions {
            for target in self.tree.meaning(self.path, said) {
                // A single name is a value or a type, never a module.
                let module_alone = matches!(target, Target::Inside { item: None, .. });
                if said.names.len() > 1 || !module_alone {
                    self.charge(said, &target, false, found);
                }
            }
        }
    }

    fn methods(&self, found: &mut BTreeSet<Breach>) {
        if !matches!(self.layer, Layer::Words | Layer::Pure) {
            return;
        }
        for (line, name) in &self.module.methods {
            if REACHING.contains(&name.as_str()) {
                self.report(*line, &format!(".{name}()"), NO_WORLD.to_owned(), found);
            }
        }
    }

    fn is_room(&self, target: &Target) -> bool {
        let below = |module: &str| {
            module.strip_prefix(self.path).is_some_and(|rest| rest.starts_with("::"))
        };
        matches!(target, Target::Inside { module, .. } if below(module))
    }

    fn charge(&self, said: &Said, target: &Target, glob: bool, found: &mut BTreeSet<Breach>) {
        match target {
            Target::Inside { module, item } => {
                let imported = [Some(short(module)), item.as_deref()];
                let imported = imported.into_iter().flatten().collect::<Vec<_>>().join("::");
                if module != self.path
                    && let Some(rule) = self.forbids(short(module), &imported)
                {
                    self.report(said.line, &imported, rule, found);
                }
            }
            Target::Beyond(names) => {
                let mut names = names.clone();
                if matches!(names[0].as_str(), "core" | "alloc") {
                    names[0] = "std".to_owned();
                }
                let imported = names.join("::") + if glob { "::*" } else { "" };
                for rule in self.forbids_beyond(&names, glob) {
                    self.report(said.line, &imported, rule, found);
                }
            }
        }
    }

    /// The rule against an import of a module of ours.
    fn forbids(&self, module: &str, imported: &str) -> Option<String> {
        let (_, theirs) = entry(module)?;
        let allowed =
            |list: &[&str]| list.iter().any(|name| fits(name, module) || *name == imported);
        let refused = |rule: &str| Some(format!("{} may not: {rule}", told(self.layer)));
        match (self.layer, theirs) {
            (_, Layer::Door | Layer::Words) => None,
            (Layer::Door, _) => refused("it opens its own rooms and no others"),
            (Layer::Words, _) => refused("words know each other"),
            (_, Layer::Pure) => None,
            (Layer::Pure, _) => refused("pure modules know words and each other"),
            (Layer::Edge(ours), Layer::Edge(theirs)) if ours == theirs => None,
            (Layer::Edge(_), Layer::Edge(_)) => refused("edges never know each other"),
            (Layer::Edge(_), _) => refused("edges know words and pure modules"),
            (Layer::Flow(ours, _), Layer::Flow(theirs, _)) if ours == theirs => None,
            (Layer::Flow(_, joins), _) if allowed(joins) => None,
            (Layer::Flow(..), _) => refused("a flow knows words, pure and the edges it joins"),
            (Layer::Agent, Layer::Outside(_)) => refused("nobody knows the command line"),
            (Layer::Agent, _) => None,
            (Layer::Outside(may), _) if allowed(may) => None,
            (Layer::Outside(_), _) => refused("it isn't on its list"),
        }
    }

    /// The rules against naming something of another crate.
    fn forbids_beyond(&self, names: &[String], glob: bool) -> Vec<String> {
        let mut rules = Vec::new();
        for (owned, owners) in OWNED {
            let here = owners.iter().any(|o| within(o, short(self.path)));
            if names[0] == *owned && !here {
                let where_ = if owners.is_empty() { "tests" } else { &owners.join(" and ") };
                rules.push(format!("{owned} is for {where_} alone"));
            }
        }
        let worldly = |list: &[&str]| list.iter().any(|name| reaches(name, names, glob));
        let plain = PLAIN.iter().any(|name| begins(names, name));
        if matches!(self.layer, Layer::Words | Layer::Pure) && worldly(WORLD) && !plain {
            rules.push(NO_WORLD.to_owned());
        }
        rules
    }

    fn report(&self, line: usize, imported: &str, rule: String, found: &mut BTreeSet<Breach>) {
        found.insert(Breach {
            place: (self.module.file.clone(), line),
            importer: short(self.path).to_owned(),
            imported: imported.to_owned(),
            rule,
        });
    }
}

const NO_WORLD: &str = "words and pure modules know no file, clock, socket or process";

/// The entry that decides about a module.
fn entry(module: &str) -> Option<(&'static str, Layer)> {
    let fitting = TABLE.iter().filter(|(name, _)| fits(name, module));
    fitting
        .max_by_key(|(name, _)| (name.trim_end_matches("::*").len(), !name.ends_with('*')))
        .copied()
}

/// Whether a name of the table means this module.
fn fits(name: &str, module: &str) -> bool {
    name.strip_suffix("::*").map_or(name == module, |above| within(above, module))
}

fn within(above: &str, module: &str) -> bool {
    module.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether a path is at or below `name`, or is a glob that may bring it in.
fn reaches(name: &str, names: &[String], glob: bool) -> bool {
    begins(names, name) || (glob && within(&names.join("::"), name))
}

fn begins(names: &[String], name: &str) -> bool {
    let mut names = names.iter();
    name.split("::").all(|part| names.next().is_some_and(|name| name == part))
}

fn excuses((importer, imported, _): &(&str, &str, &str), breach: &Breach) -> bool {
    breach.importer == *importer && within(imported, &breach.imported)
}

/// A module's path as the table has it.
fn short(path: &str) -> &str {
    path.strip_prefix("crate::").unwrap_or(path)
}

fn told(layer: Layer) -> String {
    match layer {
        Layer::Door => "a door".to_owned(),
        Layer::Words => "words".to_owned(),
        Layer::Pure => "a pure module".to_owned(),
        Layer::Edge(name) => format!("the edge {name}"),
        Layer::Flow(name, _) => format!("the flow {name}"),
        Layer::Agent => "the agent".to_owned(),
        Layer::Outside(_) => "the command line".to_owned(),
    }
}
