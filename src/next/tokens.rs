//! Runs the HTML tokenizer over a page. Pure. Must not interpret a token.
//!
//! The tokenizer is generic over what takes its tokens and is compiled again for each of them: a fifth of a megabyte.
//! So there is one, which calls a trait object.

use std::convert::Infallible;
use std::ops::Range;

pub(super) use html5gum::emitters::callback::CallbackEvent as Token;
use html5gum::emitters::callback::{Callback, CallbackEmitter};
use html5gum::{Emitter, Error, ForwardingEmitter, Span, Tokenizer};

/// Takes the tokens of a page.
pub(super) trait Tokens {
    /// Takes the next token and its byte range. The name of a tag and its attributes are tokens of their own.
    fn token(&mut self, token: Token<'_>, range: Range<usize>);
}

impl<F: FnMut(Token<'_>, Range<usize>)> Tokens for F {
    fn token(&mut self, token: Token<'_>, range: Range<usize>) {
        self(token, range);
    }
}

/// Reads a page to its end. The text of scripts, styles and titles is one token each, as in a browser.
pub(super) fn read(text: &str, tokens: &mut dyn Tokens) {
    let mut emitter = CallbackEmitter::<_, Infallible, usize>::new(Each(tokens));
    emitter.naively_switch_states(true);
    // The callback does all the work. The emitter yields no tokens, but the iterator has to run to the end.
    Tokenizer::new_with_emitter(text, WithoutErrors(emitter)).for_each(drop);
}

/// Takes no errors, so the tokenizer does not look for invalid characters, which took 7% of a check.
struct WithoutErrors<E>(E);

impl<E: Emitter> ForwardingEmitter for WithoutErrors<E> {
    type Token = E::Token;

    fn inner(&mut self) -> &mut impl Emitter<Token = Self::Token> {
        &mut self.0
    }

    #[inline]
    fn should_emit_errors(&mut self) -> bool {
        false
    }

    #[inline]
    fn emit_error(&mut self, _: Error) {}
}

struct Each<'t>(&'t mut dyn Tokens);

impl Callback<Infallible, usize> for Each<'_> {
    fn handle_event(&mut self, event: Token<'_>, span: Span<usize>) -> Option<Infallible> {
        self.0.token(event, span.start..span.end);
        None
    }
}
