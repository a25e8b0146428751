//! One file as tokens and as syntax, and what the tokens alone tell: `unsafe`, and what is
//! allowed without a reason, in macros and in tests too. Knows no module and no layer.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// File and line.
pub type Place = (String, usize);

/// One file, lexed.
#[derive(Debug)]
pub struct Lexed {
    path: String,
    tokens: Vec<TokenTree>,
    /// Lines with `unsafe`.
    pub unsafes: Vec<usize>,
    /// Lines of an `allow` or `expect` of a lint without a reason.
    pub unreasoned: Vec<usize>,
}

impl Lexed {
    /// Where it isn't Rust, the test has nothing to say and stops.
    pub fn of(path: &str, text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|err| panic!("{path}: {err}"));
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut lexed =
            Self { path: path.to_owned(), tokens, unsafes: Vec::new(), unreasoned: Vec::new() };
        let tokens = std::mem::take(&mut lexed.tokens);
        lexed.look(&tokens, false);
        lexed.tokens = tokens;
        lexed
    }

    /// The syntax without `#[cfg(test)] mod name { .. }`, which is a third of the code and
    /// of the time to parse it; with the lines of what was left out, as (first, last).
    pub fn syntax(self) -> (syn::File, Vec<(usize, usize)>) {
        let mut left_out = Vec::new();
        let mut kept = TokenStream::new();
        let mut rest = self.tokens.as_slice();
        while let [first, after @ ..] = rest {
            match test_module(rest) {
                Some(length) => {
                    let last = rest[length - 1].span().end().line;
                    left_out.push((first.span().start().line, last));
                    rest = &rest[length..];
                }
                None => {
                    kept.extend([first.clone()]);
                    rest = after;
                }
            }
        }
        let path = &self.path;
        let file = syn::parse2(kept)
            .unwrap_or_else(|err| panic!("{path}:{}: {err}", err.span().start().line));
        (file, left_out)
    }

    fn look(&mut self, tokens: &[TokenTree], attribute: bool) {
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let within: Vec<TokenTree> = group.stream().into_iter().collect();
                    let bracket = group.delimiter() == Delimiter::Bracket;
                    let hash = at > 0 && is_punct(&tokens[at - 1], '#');
                    let inner =
                        at > 1 && is_punct(&tokens[at - 1], '!') && is_punct(&tokens[at - 2], '#');
                    self.look(&within, attribute || bracket && (hash || inner));
                }
                TokenTree::Ident(ident) if ident == "unsafe" => {
                    self.unsafes.push(ident.span().start().line);
                }
                TokenTree::Ident(ident) if attribute && (ident == "allow" || ident == "expect") => {
                    // `case::expect(..)` is no lint's.
                    let in_path = at > 0 && is_punct(&tokens[at - 1], ':');
                    if let Some(TokenTree::Group(lints)) = tokens.get(at + 1)
                        && !in_path
                        && !has_reason(&lints.stream())
                    {
                        self.unreasoned.push(ident.span().start().line);
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

/// The number of tokens of a `#[cfg(test)] mod name { .. }` at the start.
fn test_module(tokens: &[TokenTree]) -> Option<usize> {
    let [hash, TokenTree::Group(attr), ..] = tokens else { return None };
    if !is_punct(hash, '#') || attr.stream().to_string().replace(' ', "") != "cfg(test)" {
        return None;
    }
    let [TokenTree::Ident(keyword), TokenTree::Ident(_), TokenTree::Group(_), ..] = &tokens[2..]
    else {
        return None;
    };
    (keyword == "mod").then_some(5)
}

fn has_reason(lints: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = lints.clone().into_iter().collect();
    tokens.windows(3).any(|three| match three {
        [TokenTree::Ident(name), equals, TokenTree::Literal(text)] => {
            name == "reason" && is_punct(equals, '=') && said_something(&text.to_string())
        }
        _ => false,
    })
}

fn said_something(literal: &str) -> bool {
    !literal.trim_matches(|c: char| c == '"' || c.is_whitespace()).is_empty()
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}
