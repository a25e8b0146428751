//! Paths, methods and macros among tokens that have no syntax to go by: the arguments and
//! bodies of macros, and attributes.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

use super::collect::{Module, Said, names};

impl Module {
    /// Notes all that the tokens of a macro name.
    pub fn tokens(&mut self, stream: &TokenStream) {
        let trees: Vec<TokenTree> = stream.clone().into_iter().collect();
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            match tree {
                TokenTree::Group(group) => self.tokens(&group.stream()),
                TokenTree::Ident(ident) => {
                    let method = at > 0 && is_punct(&trees[at - 1], '.');
                    let rooted =
                        at > 1 && is_punct(&trees[at - 1], ':') && is_punct(&trees[at - 2], ':');
                    let next = self.path_at(&trees, at, rooted);
                    let line = ident.span().start().line;
                    match (trees.get(next), trees.get(next + 1)) {
                        (Some(bang), Some(TokenTree::Group(_))) if is_punct(bang, '!') => {
                            self.macros.push((line, trees[next - 1].to_string()));
                        }
                        (Some(TokenTree::Group(_)), _) if method => {
                            self.methods.push((line, ident.to_string()));
                        }
                        _ => {}
                    }
                    at = next;
                    continue;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }

    /// Attributes name paths as tokens, and serde's as text.
    pub fn attribute(&mut self, stream: &TokenStream) {
        self.tokens(stream);
        self.quoted(stream);
    }

    /// The path that begins at `at`, with the groups of a `use` in it; returns where it
    /// ends.
    fn path_at(&mut self, trees: &[TokenTree], mut at: usize, rooted: bool) -> usize {
        let span = trees[at].span();
        let mut names = Vec::new();
        while let Some(TokenTree::Ident(ident)) = trees.get(at) {
            names.push(ident.to_string());
            at += 1;
            if !(at + 1 < trees.len() && is_punct(&trees[at], ':') && is_punct(&trees[at + 1], ':'))
            {
                break;
            }
            if let Some(TokenTree::Group(group)) = trees.get(at + 2)
                && group.delimiter() == Delimiter::Brace
            {
                self.group(span, &names, &group.stream(), rooted);
                return at + 3;
            }
            at += 2;
        }
        self.say(span, names, rooted);
        at
    }

    fn group(&mut self, span: Span, before: &[String], stream: &TokenStream, rooted: bool) {
        // What is before the braces counts by itself: `self` may be among what is within.
        self.say(span, before.to_vec(), rooted);
        let mut inner = Self::default();
        inner.tokens(stream);
        for said in inner.mentions {
            let names = before.iter().cloned().chain(said.names).collect();
            self.mentions.push(Said { names, rooted, ..said });
        }
    }

    fn quoted(&mut self, stream: &TokenStream) {
        for tree in stream.clone() {
            match tree {
                TokenTree::Group(group) => self.quoted(&group.stream()),
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    if !text.contains("::") {
                        continue;
                    }
                    let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) else {
                        continue;
                    };
                    if path.segments.len() > 1 {
                        let rooted = path.leading_colon.is_some();
                        self.say(literal.span(), names(&path), rooted);
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

fn is_punct(tree: &TokenTree, wanted: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == wanted)
}
