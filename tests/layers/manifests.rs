//! Which package depends on which: the agent and the rig on the bench share no code, so
//! that a mistake can't cancel itself.

use toml::{Table, Value};

use super::tree::{Target, Tree};

/// Dependencies of the manifest `text` on `package`, but for those in tables that `may`
/// names, such as `dev-dependencies`.
pub fn dependencies_on(package: &str, text: &str, may: &[&str]) -> Vec<String> {
    let manifest: Table = text.parse().unwrap_or_else(|err| panic!("{err}"));
    let mut found = Vec::new();
    below(package, &manifest, may, "", &mut found);
    found
}

/// Where code that isn't a test names a crate: file and line.
pub fn code_that_names(krate: &str, tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, module) in &tree.modules {
        for said in module.mentions.iter().chain(module.uses.iter().map(|u| &u.said)) {
            let names = |target| matches!(target, Target::Beyond(names) if names[0] == krate);
            if tree.meaning(path, said).into_iter().any(names) {
                found.push(format!("{}:{}: names {krate}", module.file, said.line));
            }
        }
    }
    found
}

/// Targets have dependencies of their own: `target.'cfg(..)'.dependencies`.
fn below(package: &str, table: &Table, may: &[&str], at: &str, found: &mut Vec<String>) {
    for (name, value) in table {
        let Value::Table(inner) = value else { continue };
        let here = format!("{at}{name}");
        match name.as_str() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => {
                let on = inner.iter().any(|(name, value)| is(package, name, value));
                if on && !may.contains(&name.as_str()) {
                    found.push(format!("[{here}] has {package}"));
                }
            }
            _ => below(package, inner, may, &format!("{here}."), found),
        }
    }
}

/// By its name, by the package behind another name, or by its directory.
fn is(package: &str, name: &str, value: &Value) -> bool {
    let field = |field: &str| value.get(field).and_then(Value::as_str);
    name == package
        || field("package") == Some(package)
        || field("path").is_some_and(|path| {
            let last = path.trim_end_matches('/').rsplit('/').next();
            last == Some(package) || (package == "spraylog" && last == Some(".."))
        })
}
