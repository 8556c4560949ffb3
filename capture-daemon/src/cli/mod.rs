//! The command line: `siphon VERB`. One file per verb; `table` and `text` are how answers look to people, `terminal` is
//! what is known of the one they look at.

mod call;
mod calls;
mod config;
mod daemon;
mod health;
mod registrations;
mod replay;
mod rules;
mod run;
mod signaling;
mod status;
mod stop;
mod streams;
mod table;
mod terminal;
mod text;
mod turn;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use call::{Form, call};
pub use daemon::Daemon;
pub use replay::{Replay, summary};
pub use run::Run;
pub use terminal::Style;

/// Exit status for a verb that failed.
const FAILED: u8 = 1;

/// siphon's command line.
#[derive(Debug, Parser)]
#[command(
    name = "siphon",
    version,
    about = "Captures SIP and RTP from a mirror port, follows every call, measures every stream, keeps the packets.",
    long_about = None,
    propagate_version = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Captures, until it is told to stop.
    Run(Run),
    /// Reads capture files and says what is in them; needs no privileges.
    Replay(Replay),
    /// Checks a configuration file, or prints the default one.
    Config(config::Config),
    /// Says how the daemon does; the exit status is 0 for green, 1 for yellow, 2 for red, 3 for no answer.
    Health(health::Health),
    /// Says what the daemon obtained, what it sees and where every frame went.
    Status(status::Status),
    /// Says how signalling does: transactions and their times, registrations, sessions (RFC 6076).
    Signaling(signaling::Signaling),
    /// Lists calls.
    Calls(calls::Calls),
    /// Shows one call: the ladder of its messages, what was agreed on, and its streams.
    Call(call::Show),
    /// Lists RTP streams.
    Streams(streams::Streams),
    /// Lists registrations.
    Registrations(registrations::Registrations),
    /// Says how STUN and TURN do, and lists TURN allocations.
    Turn(turn::Turn),
    /// Lists the rules that say how much of which calls is kept, and changes them until the daemon ends.
    Rules(Box<rules::Rules>),
    /// Stops the daemon and waits until it has gone.
    Stop(stop::Stop),
}

/// Does what the command line says. Errors go to standard error.
pub fn main() -> ExitCode {
    let Cli { verb } = Cli::parse();
    let (done, failed) = match verb {
        Verb::Run(run) => (run.execute(), FAILED),
        Verb::Replay(replay) => (replay.execute(), FAILED),
        Verb::Config(config) => (config.execute(), FAILED),
        Verb::Health(health) => (health.execute(), health::NO_ANSWER),
        Verb::Status(status) => (status.execute(), FAILED),
        Verb::Signaling(signaling) => (signaling.execute(), FAILED),
        Verb::Calls(calls) => (calls.execute(), FAILED),
        Verb::Call(call) => (call.execute(), FAILED),
        Verb::Streams(streams) => (streams.execute(), FAILED),
        Verb::Registrations(registrations) => (registrations.execute(), FAILED),
        Verb::Turn(turn) => (turn.execute(), FAILED),
        Verb::Rules(rules) => (rules.execute(), FAILED),
        Verb::Stop(stop) => (stop.execute(), FAILED),
    };
    done.unwrap_or_else(|error| {
        terminal::complain(&error);
        ExitCode::from(failed)
    })
}
