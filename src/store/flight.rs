//! A flight under construction: operations that are sent together, and a ticket for each answer that is read.
//!
//! A ticket identifies one answer of the flight, and its type says what the operation answers. It replaces counting
//! positions: adding an operation to a flight never changes which answer another ticket reads. This module must not
//! send anything.

use std::marker::PhantomData;
use std::ops::Range;

use crate::host::{Answer, Answers, Attr, Handle, Op, Refusal, RefusalKind, Reply, Space};

/// One answer of a flight, to an operation that answers a `T`: a text, attributes, names, free space, an open file, or
/// nothing but that it succeeded.
#[derive(Debug)]
pub struct Ticket<T = ()>(usize, PhantomData<fn() -> T>);

impl<T> Clone for Ticket<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ticket<T> {}

/// The entries of a folder: names and attributes.
pub type Names = Vec<(String, Attr)>;

/// The answers to operations that were added together.
#[derive(Debug, Clone)]
pub struct Tickets(Range<usize>);

/// Operations to send together.
#[derive(Debug, Default)]
pub struct Flight {
    ops: Vec<Op>,
}

impl Flight {
    /// Reads the text of a symlink.
    pub fn read_link(&mut self, path: impl Into<String>) -> Ticket<String> {
        self.ticket(Op::ReadLink(path.into()))
    }

    /// Reads the attributes of what a path names. Follows a symlink.
    pub fn stat(&mut self, path: impl Into<String>) -> Ticket<Attr> {
        self.ticket(Op::Stat(path.into()))
    }

    /// Reads the attributes of what a path names. Does not follow a symlink.
    pub fn lstat(&mut self, path: impl Into<String>) -> Ticket<Attr> {
        self.ticket(Op::Lstat(path.into()))
    }

    /// Lists a folder.
    pub fn list(&mut self, path: impl Into<String>) -> Ticket<Names> {
        self.ticket(Op::List(path.into()))
    }

    /// Reads how much free space there is.
    pub fn space(&mut self, path: impl Into<String>) -> Ticket<Space> {
        self.ticket(Op::Space(path.into()))
    }

    /// Creates a file.
    pub fn create(&mut self, path: impl Into<String>) -> Ticket<Handle> {
        self.ticket(Op::Create(path.into()))
    }

    /// Renames a path.
    pub fn rename(&mut self, from: impl Into<String>, to: impl Into<String>) -> Ticket {
        let (from, to) = (from.into(), to.into());
        self.add(Op::rename(from, to))
    }

    /// Adds any operation. What it answers can't be read, only whether it succeeded.
    pub fn add(&mut self, op: Op) -> Ticket {
        self.ticket(op)
    }

    fn ticket<T>(&mut self, op: Op) -> Ticket<T> {
        self.ops.push(op);
        Ticket(self.ops.len() - 1, PhantomData)
    }

    /// Adds operations whose answers are read together.
    pub fn extend(&mut self, ops: impl IntoIterator<Item = Op>) -> Tickets {
        let from = self.ops.len();
        self.ops.extend(ops);
        Tickets(from..self.ops.len())
    }

    /// The operations so far.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operations, to be sent.
    #[must_use]
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }
}

/// The answers to a flight, read by its tickets. A missing answer counts as no answer of its kind.
#[derive(Debug)]
pub struct Landed(Answers);

impl Landed {
    /// Wraps the answers to a flight, so that its tickets can read them.
    pub fn new(answers: Answers) -> Self {
        Self(answers)
    }

    /// The answer to an operation.
    pub fn to<T>(&self, ticket: Ticket<T>) -> ReplyTo<'_, T> {
        ReplyTo(self.0.get(ticket.0), PhantomData)
    }

    /// The answers to operations that were added together.
    pub fn all(&self, tickets: &Tickets) -> &[Reply] {
        let end = tickets.0.end.min(self.0.len());
        &self.0[tickets.0.start.min(end)..end]
    }
}

/// The answer to an operation that answers a `T`. Only that can be read of it.
#[derive(Debug, Clone, Copy)]
pub struct ReplyTo<'a, T>(Option<&'a Reply>, PhantomData<fn() -> T>);

impl<'a, T> ReplyTo<'a, T> {
    /// The answer as the host gave it, if there is one: whether the operation succeeded.
    pub fn reply(&self) -> Option<&'a Reply> {
        self.0
    }
}

impl ReplyTo<'_, String> {
    /// See [`Read::text`].
    pub fn text(self) -> Option<String> {
        self.0.text()
    }
}

impl ReplyTo<'_, Attr> {
    /// See [`Read::attr`].
    pub fn attr(self) -> Option<Attr> {
        self.0.attr()
    }
}

impl<'a> ReplyTo<'a, Names> {
    /// See [`Read::names`].
    pub fn names(self) -> Option<&'a [(String, Attr)]> {
        self.0.names()
    }
}

impl ReplyTo<'_, Space> {
    /// See [`Read::space`].
    pub fn space(self) -> Option<Space> {
        self.0.space()
    }
}

impl ReplyTo<'_, Handle> {
    /// See [`Read::opened`].
    pub fn opened(self) -> Option<Handle> {
        self.0.opened()
    }
}

/// Reads one answer of a flight. A missing answer, and one of another kind, read as `None`.
pub trait Read<'a>: Copy {
    /// The answer as the host gave it, if there is one.
    fn reply(self) -> Option<&'a Reply>;

    /// The answer to an operation that succeeded.
    fn answered(self) -> Option<&'a Answer> {
        self.reply()?.as_ref().ok()
    }

    /// The text of a symlink; `None` if it could not be read.
    fn text(self) -> Option<String> {
        match self.answered()? {
            Answer::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The attributes at a path; `None` if they could not be read.
    fn attr(self) -> Option<Attr> {
        match self.answered()? {
            Answer::Attr(attr) => Some(*attr),
            _ => None,
        }
    }

    /// The entries of a folder; `None` if it could not be listed.
    fn names(self) -> Option<&'a [(String, Attr)]> {
        match self.answered()? {
            Answer::Names(names) => Some(names),
            _ => None,
        }
    }

    /// How much free space there is; `None` if the host does not report it.
    fn space(self) -> Option<Space> {
        match self.answered()? {
            Answer::Space(space) => Some(*space),
            _ => None,
        }
    }

    /// The file that was opened; `None` if it could not be.
    fn opened(self) -> Option<Handle> {
        match self.answered()? {
            Answer::Opened(handle) => Some(*handle),
            _ => None,
        }
    }

    /// Whether the operation succeeded.
    fn done(self) -> bool {
        self.answered().is_some()
    }

    /// The refusal, if the operation was refused.
    fn refusal(self) -> Option<&'a Refusal> {
        self.reply()?.as_ref().err()
    }

    /// The refusal, unless it means that the path, or a folder on it, does not exist.
    fn unexpected_refusal(self) -> Option<&'a Refusal> {
        self.refusal().filter(|refusal| refusal.kind != RefusalKind::NotFound)
    }

    /// Whether the operation was refused because the path, or a folder on it, does not exist.
    fn is_gone(self) -> bool {
        self.refusal()
            .is_some_and(|refusal| refusal.kind == RefusalKind::NotFound)
    }
}

impl<'a> Read<'a> for &'a Reply {
    fn reply(self) -> Option<&'a Reply> {
        Some(self)
    }
}

impl<'a> Read<'a> for Option<&'a Reply> {
    fn reply(self) -> Option<&'a Reply> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RefusalKind;

    #[test]
    fn a_ticket_reads_its_own_answer_whatever_is_added_behind_it() {
        let mut flight = Flight::default();
        let link = flight.read_link("current");
        let many = flight.extend([Op::Lstat("a".to_owned()), Op::Lstat("b".to_owned())]);
        let moved = flight.rename("x", "y");
        assert_eq!(flight.ops().len(), 4);
        let refusal = Refusal {
            kind: RefusalKind::NotFound,
            op: String::new(),
            message: String::new(),
        };
        let landed = Landed::new(vec![
            Ok(Answer::Text("releases/1".to_owned())),
            Err(refusal.clone()),
            Err(refusal.clone()),
            Err(refusal.clone()),
        ]);
        assert_eq!(landed.to(link).text().as_deref(), Some("releases/1"));
        assert_eq!(landed.all(&many).len(), 2);
        assert_eq!(landed.to(moved).reply().refusal(), Some(&refusal));
        assert!(!landed.to(moved).reply().done());
    }

    #[test]
    fn answers_that_are_missing_are_no_answers() {
        let mut flight = Flight::default();
        let link = flight.read_link("current");
        let many = flight.extend([Op::Lstat("a".to_owned())]);
        let landed = Landed::new(Vec::new());
        assert_eq!(landed.to(link).text(), None);
        assert!(landed.all(&many).is_empty() && landed.to(link).reply().is_none());
    }
}
