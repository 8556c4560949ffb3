//! `siphon registrations`.

use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;

use super::calls::{limit, list};
use super::table::{Column, Table};
use super::text::{address, duration, moments, name, or_absent, printable};
use super::{Daemon, Style};
use crate::control::{Ask, Filter};
use crate::report::{Registration, RegistrationState};

#[derive(Debug, Args)]
pub(super) struct Registrations {
    #[command(flatten)]
    daemon: Daemon,
    /// At most this many, the latest; 0: all. Tables show 50 unless told, JSON has all.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only registrations in this state.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(RegistrationState::ALL.map(RegistrationState::label)))]
    state: Option<String>,
    /// Only the registration with this Call-ID.
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    total: u64,
    registrations: Vec<Registration>,
}

impl Registrations {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let filter = Filter {
            limit: limit(self.limit, self.daemon.json),
            state: self.state,
            call_id: self.call_id,
        };
        self.daemon
            .show(&Ask::Registrations(filter), |answer: &Answer, style| {
                let table = table(&answer.registrations, style);
                list("registrations", answer.total, answer.registrations.len(), table)
            })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Registrations for people.
pub(super) fn table(registrations: &[Registration], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("START UTC"),
        Column::Word("STATE"),
        Column::Figure("CODE"),
        Column::Figure("EXPIRES"),
        Column::Long("ADDRESS", 20),
        Column::Long("CONTACT", 20),
        Column::Long("SOURCE", 21),
    ];
    let mut table = Table::new(COLUMNS).colouring("STATE");
    let starts = moments(registrations.iter().map(|one| one.start));
    for (one, start) in registrations.iter().zip(starts) {
        table.row([
            start,
            name(&one.state),
            or_absent(one.status_code, |code| code.to_string()),
            or_absent(one.expires_s, |seconds| duration(f64::from(seconds) * 1000.0)),
            address(&one.aor),
            or_absent(Some(&one.contact).filter(|contact| !contact.is_empty()), |contact| {
                address(contact)
            }),
            printable(&one.src),
        ]);
    }
    table.render(style)
}
