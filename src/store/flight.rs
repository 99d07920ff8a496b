//! A flight under construction: operations that are sent together, and a ticket for each answer that is read.
//!
//! A ticket identifies one answer of the flight and the kind of that answer. It replaces counting positions: adding an
//! operation to a flight never changes which answer another ticket reads. This module must not send anything.

use std::marker::PhantomData;
use std::ops::Range;

use crate::host::{Answer, Answers, Attr, Handle, Op, Refusal, RefusalKind, Reply, Space};

/// The answer to `ReadLink`.
pub enum Text {}
/// The answer to `Stat` or `Lstat`.
pub enum Attributes {}
/// The answer to `List`.
pub enum Names {}
/// The answer to `Space`.
pub enum Free {}
/// The answer to an operation of which only success matters.
pub enum Done {}

/// One answer of a flight, of the kind `K`.
pub struct Ticket<K> {
    at: usize,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Ticket<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Ticket<K> {}

/// The answers to operations that were added together.
#[derive(Debug, Clone)]
pub struct Tickets(Range<usize>);

/// Operations to send together.
#[derive(Debug, Default)]
pub struct Flight {
    ops: Vec<Op>,
}

impl Flight {
    fn ticket<K>(&mut self, op: Op) -> Ticket<K> {
        self.ops.push(op);
        Ticket {
            at: self.ops.len() - 1,
            kind: PhantomData,
        }
    }

    /// Reads the text of a symlink.
    pub fn read_link(&mut self, path: impl Into<String>) -> Ticket<Text> {
        self.ticket(Op::ReadLink(path.into()))
    }

    /// Reads the attributes of what a path names. Follows a symlink.
    pub fn stat(&mut self, path: impl Into<String>) -> Ticket<Attributes> {
        self.ticket(Op::Stat(path.into()))
    }

    /// Reads the attributes of what a path names. Does not follow a symlink.
    pub fn lstat(&mut self, path: impl Into<String>) -> Ticket<Attributes> {
        self.ticket(Op::Lstat(path.into()))
    }

    /// Lists a folder.
    pub fn list(&mut self, path: impl Into<String>) -> Ticket<Names> {
        self.ticket(Op::List(path.into()))
    }

    /// Reads how much free space there is.
    pub fn space(&mut self, path: impl Into<String>) -> Ticket<Free> {
        self.ticket(Op::Space(path.into()))
    }

    /// Renames a path.
    pub fn rename(&mut self, from: impl Into<String>, to: impl Into<String>) -> Ticket<Done> {
        let (from, to) = (from.into(), to.into());
        self.ticket(Op::rename(from, to))
    }

    /// Adds any operation.
    pub fn add(&mut self, op: Op) -> Ticket<Done> {
        self.ticket(op)
    }

    /// Adds operations whose answers are read together.
    pub fn extend(&mut self, ops: impl IntoIterator<Item = Op>) -> Tickets {
        let from = self.ops.len();
        self.ops.extend(ops);
        Tickets(from..self.ops.len())
    }

    /// The operations so far.
    #[must_use]
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
    #[must_use]
    pub fn new(answers: Answers) -> Self {
        Self(answers)
    }

    /// The answer as the host gave it.
    #[must_use]
    pub fn answer<K>(&self, ticket: Ticket<K>) -> Option<&Reply> {
        self.0.get(ticket.at)
    }

    /// The answers to operations that were added together.
    pub fn all(&self, tickets: &Tickets) -> &[Reply] {
        let end = tickets.0.end.min(self.0.len());
        &self.0[tickets.0.start.min(end)..end]
    }

    /// The text of a symlink; `None` if it could not be read.
    #[must_use]
    pub fn text(&self, ticket: Ticket<Text>) -> Option<String> {
        self.answer(ticket)?.text()
    }

    /// The attributes at a path; `None` if they could not be read.
    #[must_use]
    pub fn attr(&self, ticket: Ticket<Attributes>) -> Option<Attr> {
        self.answer(ticket)?.attr()
    }

    /// The entries of a folder; `None` if it could not be listed.
    #[must_use]
    pub fn names(&self, ticket: Ticket<Names>) -> Option<&[(String, Attr)]> {
        self.answer(ticket)?.names()
    }

    /// How much free space there is; `None` if the host does not report it.
    #[must_use]
    pub fn space(&self, ticket: Ticket<Free>) -> Option<Space> {
        match self.answer(ticket)? {
            Ok(Answer::Space(space)) => Some(*space),
            _ => None,
        }
    }

    /// Whether an operation succeeded.
    #[must_use]
    pub fn is_done<K>(&self, ticket: Ticket<K>) -> bool {
        self.answer(ticket).is_some_and(Read::done)
    }
}

/// Reads one answer of a flight. An answer of another kind reads as `None`.
pub trait Read {
    /// The text of a symlink; `None` if it could not be read.
    fn text(&self) -> Option<String>;
    /// The attributes at a path; `None` if they could not be read.
    fn attr(&self) -> Option<Attr>;
    /// The entries of a folder; `None` if it could not be listed.
    fn names(&self) -> Option<&[(String, Attr)]>;
    /// The file that was opened; `None` if it could not be.
    fn opened(&self) -> Option<Handle>;
    /// Whether the operation succeeded.
    fn done(&self) -> bool;
    /// The refusal, if the operation was refused.
    fn refusal(&self) -> Option<&Refusal>;
    /// The refusal, unless it means that the path, or a folder on it, does not exist.
    fn unexpected_refusal(&self) -> Option<&Refusal> {
        self.refusal().filter(|refusal| refusal.kind != RefusalKind::NotFound)
    }
    /// Whether the operation was refused because the path, or a folder on it, does not exist.
    fn is_gone(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| refusal.kind == RefusalKind::NotFound)
    }
}

impl Read for Reply {
    fn text(&self) -> Option<String> {
        match self {
            Ok(Answer::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    fn attr(&self) -> Option<Attr> {
        match self {
            Ok(Answer::Attr(attr)) => Some(*attr),
            _ => None,
        }
    }

    fn names(&self) -> Option<&[(String, Attr)]> {
        match self {
            Ok(Answer::Names(names)) => Some(names),
            _ => None,
        }
    }

    fn opened(&self) -> Option<Handle> {
        match self {
            Ok(Answer::Opened(handle)) => Some(*handle),
            _ => None,
        }
    }

    fn done(&self) -> bool {
        self.is_ok()
    }

    fn refusal(&self) -> Option<&Refusal> {
        self.as_ref().err()
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
        assert_eq!(landed.text(link).as_deref(), Some("releases/1"));
        assert_eq!(landed.all(&many).len(), 2);
        assert_eq!(landed.answer(moved).and_then(Read::refusal), Some(&refusal));
        assert!(!landed.is_done(moved));
    }

    #[test]
    fn answers_that_are_missing_are_no_answers() {
        let mut flight = Flight::default();
        let link = flight.read_link("current");
        let many = flight.extend([Op::Lstat("a".to_owned())]);
        let landed = Landed::new(Vec::new());
        assert_eq!(landed.text(link), None);
        assert!(landed.all(&many).is_empty() && landed.answer(link).is_none());
    }
}
