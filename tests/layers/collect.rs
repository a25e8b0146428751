//! What one module says: its own items, its `use` declarations, and every path, method and
//! macro that its code names; those in macros are found next door ([`super::macros`]). Tests
//! and comments don't count. Finds nothing out about what a path means; that needs the
//! other modules.

use std::collections::BTreeSet;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

use super::gated;

/// A path as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its line in the file.
    pub line: usize,
    /// Its names.
    pub names: Vec<String>,
    /// Whether it begins with `::`, and so outside this crate.
    pub rooted: bool,
}

/// One leaf of a `use` declaration.
#[derive(Debug, Clone)]
pub struct Use {
    /// What is imported; of a glob, that before the star.
    pub said: Said,
    /// The name that it gets here; none for a glob and for `as _`.
    pub name: Option<String>,
    /// Whether it is a glob.
    pub glob: bool,
    /// Whether others can import it from here.
    pub visible: bool,
}

/// What one module says.
#[derive(Debug, Default)]
pub struct Module {
    /// Its file.
    pub file: String,
    /// Its submodules that aren't tests.
    pub children: BTreeSet<String>,
    /// The names of the items that it defines.
    pub items: BTreeSet<String>,
    /// Whether it defines anything, `impl`s too.
    pub has_code: bool,
    /// Its imports, those within functions too.
    pub uses: Vec<Use>,
    /// The paths that its code names.
    pub mentions: Vec<Said>,
    /// Lines and names of the methods that it calls.
    pub methods: Vec<(usize, String)>,
    /// Lines and names of the macros that it calls.
    pub macros: Vec<(usize, String)>,
    /// Lines of what is there for tests alone, as (first, last).
    pub tests: Vec<(usize, usize)>,
}

impl Module {
    /// What `items` say; modules among them are the caller's.
    pub fn of(file: &str, items: &[Item]) -> Self {
        let mut module = Self { file: file.to_owned(), ..Self::default() };
        for item in items {
            if gated::for_tests(gated::of_item(item)) {
                module.tests.push(lines(item));
                continue;
            }
            match item {
                Item::Mod(_) => continue,
                Item::Use(_) | Item::ExternCrate(_) => {}
                _ => module.has_code = true,
            }
            module.items.extend(defined(item));
            module.visit_item(item);
        }
        module
    }

    /// Notes a path, unless it is the module itself.
    pub fn say(&mut self, span: Span, names: Vec<String>, rooted: bool) {
        let alone = names.len() == 1 && !rooted;
        if !alone || !matches!(names[0].as_str(), "self" | "Self" | "super" | "crate") {
            self.mentions.push(Said { line: span.start().line, names, rooted });
        }
    }

    fn import(&mut self, tree: &UseTree, before: &[String], rooted: bool, visible: bool) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        let mut leaf = |span: Span, names: Vec<String>, name: Option<String>, glob: bool| {
            let said = Said { line: span.start().line, names, rooted };
            self.uses.push(Use { said, name, glob, visible });
        };
        match tree {
            UseTree::Path(path) => {
                self.import(&path.tree, &with(path.ident.to_string()), rooted, visible);
            }
            UseTree::Name(name) if name.ident == "self" && !before.is_empty() => {
                leaf(name.ident.span(), before.to_vec(), before.last().cloned(), false);
            }
            UseTree::Name(name) => {
                let text = name.ident.to_string();
                leaf(name.ident.span(), with(text.clone()), Some(text), false);
            }
            UseTree::Rename(renamed) => {
                let names = match renamed.ident == "self" && !before.is_empty() {
                    true => before.to_vec(),
                    false => with(renamed.ident.to_string()),
                };
                let name = renamed.rename.to_string();
                leaf(renamed.ident.span(), names, (name != "_").then_some(name), false);
            }
            UseTree::Glob(glob) => leaf(glob.star_token.span(), before.to_vec(), None, true),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before, rooted, visible);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if !gated::for_tests(gated::of_item(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        if !gated::for_tests(gated::of_impl_item(item)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast syn::TraitItem) {
        if !gated::for_tests(gated::of_trait_item(item)) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !gated::for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_expr_block(&mut self, block: &'ast syn::ExprBlock) {
        if !gated::for_tests(&block.attrs) {
            visit::visit_expr_block(self, block);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !gated::for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !gated::for_tests(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !gated::for_tests(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let visible = !matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, &[], item.leading_colon.is_some(), visible);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let (krate, itself) = (item.ident.to_string(), item.ident == "self");
        let name = item.rename.as_ref().map_or(krate.clone(), |(_, name)| name.to_string());
        let line = item.ident.span().start().line;
        let names = vec![if itself { "crate".to_owned() } else { krate }];
        let said = Said { line, names, rooted: !itself };
        self.uses.push(Use { said, name: Some(name), glob: false, visible: false });
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.say(path.span(), names(path), path.leading_colon.is_some());
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        // `<Instant>::now` is `Instant::now`.
        if let Some(own) = &expr.qself
            && own.position == 0
            && let syn::Type::Path(of) = &*own.ty
        {
            let all = names(&of.path).into_iter().chain(names(&expr.path)).collect();
            self.say(of.path.span(), all, of.path.leading_colon.is_some());
        }
        visit::visit_expr_path(self, expr);
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.methods.push((call.method.span().start().line, call.method.to_string()));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(last) = call.path.segments.last() {
            self.macros.push((last.ident.span().start().line, last.ident.to_string()));
        }
        self.visit_path(&call.path);
        self.tokens(&call.tokens);
    }

    fn visit_attribute(&mut self, attr: &'ast syn::Attribute) {
        match &attr.meta {
            syn::Meta::List(list) if !list.path.is_ident("doc") && !list.path.is_ident("cfg") => {
                self.attribute(&list.tokens);
            }
            syn::Meta::List(_) | syn::Meta::Path(_) | syn::Meta::NameValue(_) => {}
        }
    }
}

/// The lines of something, its attributes with it.
pub fn lines(of: &impl Spanned) -> (usize, usize) {
    let span = of.span();
    (span.start().line, span.end().line)
}

/// A path's names.
pub fn names(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(i) => &i.ident,
        Item::Enum(i) => &i.ident,
        Item::Fn(i) => &i.sig.ident,
        Item::Macro(i) => i.ident.as_ref()?,
        Item::Static(i) => &i.ident,
        Item::Struct(i) => &i.ident,
        Item::Trait(i) => &i.ident,
        Item::TraitAlias(i) => &i.ident,
        Item::Type(i) => &i.ident,
        Item::Union(i) => &i.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
