//! Where every frame of a run went. The stages a frame passes are counted by different parties: kernel drivers, XDP
//! programs, sockets, processes. What one says it passed on must be what the next says came in; where it is not, a figure
//! would hide a drop, so there is none.

use std::fmt;

/// Where frames are counted, in the order they pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// From the generator program into the ring of the veth's other end.
    Veth,
    /// From that ring to the receiver's program or to the stack.
    Interface,
    /// The receiver's XDP program: what it filters or drops.
    Program,
    /// The receiver's socket: its AF_XDP rings, or its AF_PACKET buffer.
    Sockets,
    /// The thread of the receiver that makes something of them.
    Engine,
    /// From the worker into a file.
    Spool,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 6] = [
        Self::Veth,
        Self::Interface,
        Self::Program,
        Self::Sockets,
        Self::Engine,
        Self::Spool,
    ];

    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::Interface => "interface",
            Self::Program => "program",
            Self::Sockets => "sockets",
            Self::Engine => "engine",
            Self::Spool => "spool",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What one stage counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The stage.
    pub stage: Stage,
    /// Frames that came in.
    pub came: u64,
    /// Frames that ended there.
    pub lost: u64,
}

impl Passage {
    /// A stage's counts.
    pub const fn new(stage: Stage, came: u64, lost: u64) -> Self {
        Self { stage, came, lost }
    }
}

/// What all stages count, from the generator on, and what was captured in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The stages the receiver has, in order.
    pub passages: Vec<Passage>,
    /// Frames the receiver was given, or has written where it writes.
    pub captured: u64,
}

/// Two parties do not agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A stage passed on another number of frames than came in at the next.
    #[error(
        "{} of {came} frames came through the stage `{stage}`, but {next} were counted behind it ({account:?})",
        came.saturating_sub(*lost)
    )]
    Boundary {
        /// The stage.
        stage: Stage,
        /// Frames that came into it.
        came: u64,
        /// Frames that ended there.
        lost: u64,
        /// Frames counted behind it.
        next: u64,
        /// Everything that was counted.
        account: Account,
    },
    /// No stage has counted anything.
    #[error("there is no stage in the account")]
    Empty,
}

impl Account {
    /// Checks that every frame is in one place.
    ///
    /// # Errors
    /// The first boundary at which frames appear or disappear.
    pub fn check(self) -> Result<Conserved, Violation> {
        let behind = self.passages.iter().skip(1).map(|passage| passage.came);
        for (passage, next) in self.passages.iter().zip(behind.chain([self.captured])) {
            let Passage { stage, came, lost } = *passage;
            if came.checked_sub(lost) != Some(next) {
                return Err(Violation::Boundary {
                    stage,
                    came,
                    lost,
                    next,
                    account: self,
                });
            }
        }
        if self.passages.is_empty() {
            return Err(Violation::Empty);
        }
        Ok(Conserved(self))
    }
}

/// An account in which every frame is in one place. Figures are made of nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conserved(Account);

impl Conserved {
    /// Frames that were made.
    pub fn made(&self) -> u64 {
        self.0.passages.first().map_or(0, |passage| passage.came)
    }

    /// Frames that ended in this stage; `None` where the receiver has no such stage.
    pub fn lost(&self, stage: Stage) -> Option<u64> {
        let mut passages = self.0.passages.iter();
        passages
            .find(|passage| passage.stage == stage)
            .map(|passage| passage.lost)
    }

    /// Frames that were captured.
    pub fn captured(&self) -> u64 {
        self.0.captured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            passages: vec![
                Passage::new(Stage::Veth, 1_000, 10),
                Passage::new(Stage::Program, 990, 0),
                Passage::new(Stage::Sockets, 990, 90),
            ],
            captured: 900,
        }
    }

    #[test]
    fn what_adds_up_gives_figures() {
        let conserved = account().check().unwrap();
        assert_eq!((conserved.made(), conserved.captured()), (1_000, 900));
        assert_eq!(
            Stage::ALL.map(|stage| conserved.lost(stage)),
            [Some(10), None, Some(0), Some(90), None, None]
        );
    }

    #[test]
    fn one_frame_too_few_or_too_many_at_any_boundary_is_a_violation() {
        for boundary in 0..3 {
            for change in [-1, 1] {
                let mut wrong = account();
                match wrong.passages.get_mut(boundary + 1) {
                    // Shifts all behind, so that this boundary alone is wrong.
                    Some(_) => {
                        for passage in &mut wrong.passages[boundary + 1..] {
                            passage.came = passage.came.saturating_add_signed(change);
                        }
                        wrong.captured = wrong.captured.saturating_add_signed(change);
                    }
                    None => wrong.captured = wrong.captured.saturating_add_signed(change),
                }
                let stage = wrong.passages[boundary].stage;
                let error = wrong.check().unwrap_err();
                assert!(
                    matches!(error, Violation::Boundary { stage: found, .. } if found == stage),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn losing_more_than_came_is_no_way_out() {
        let account = Account {
            passages: vec![Passage::new(Stage::Veth, 1, 2)],
            captured: u64::MAX,
        };
        assert!(account.check().is_err());
        let empty = Account {
            passages: Vec::new(),
            captured: 0,
        };
        assert_eq!(empty.check(), Err(Violation::Empty));
    }
}
