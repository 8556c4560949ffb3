//! A call as reports give it.

use std::collections::BTreeMap;

use super::call::{Call, ReasonOf};
use super::facts::Tag;
use super::milliseconds;
use super::sight::Witness;
use crate::media::InfoDigits;
use crate::report::{self, CallState, EndedBy, Party};
use crate::time::Timestamp;

/// Targets of redirections that are told of.
const TARGETS: usize = 8;

impl Call {
    /// The call as reports give it, without its streams and its relations; `None` where it is none.
    pub fn report(&self, call_id: &str, now: Timestamp) -> Option<report::Call> {
        let origin = self.origin.get()?;
        let state = self.state(now);
        let figures = self.figures(now);
        let answered = self.answered();
        let over = state == CallState::Ended;
        let bye = self.hangup().filter(|_| over);
        let provisional = self.attempts.latest().and_then(|attempt| attempt.provisional.get());
        let status_code = match state {
            CallState::Answered | CallState::Ended => answered.map(|(_, code)| code),
            _ => self
                .refusal(now)
                .map(|refusal| refusal.code)
                .or(provisional.map(|provisional| provisional.code)),
        };
        let caller = self.caller();
        let ended_at = bye.and_then(|(_, hangup)| hangup.at());
        Some(report::Call {
            call_id: call_id.to_owned(),
            from_uri: origin.from_uri.to_string(),
            to_uri: origin.to_uri.to_string(),
            state,
            status_code,
            setup_ms: answered
                .filter(|_| origin.witness == Witness::Invite)
                .map(|(answered, _)| milliseconds(origin.ts, answered)),
            duration_ms: answered.map(|(answered, _)| milliseconds(answered, ended_at.unwrap_or(self.last))),
            start: self.first,
            src: origin.src.to_string(),
            dst: origin.dst.to_string(),
            messages: self.messages,
            level: self
                .rule()
                .map_or_else(String::new, |rule| rule.level.label().to_owned()),
            rule: self.rule().map(|rule| rule.name.clone()),
            streams: Vec::new(),
            contact: origin.contact.as_ref().map(ToString::to_string),
            joined_late: self.is_joined_late(),
            ended_by: over.then_some(if bye.is_some() { EndedBy::Bye } else { EndedBy::NoBye }),
            hung_up: bye.and_then(|(by, _)| caller.map(|caller| Party::of(by == caller))),
            bye_code: bye.and_then(|(_, hangup)| hangup.code()),
            bye_unanswered: over && self.bye_unanswered(now),
            challenges: figures.challenges.into(),
            redirect_targets: self.redirect_targets(),
            hops: self.path.hops() as u64,
            looped: self.path.is_loop(),
            spiral: self.path.is_spiral(),
            reliable_provisional: self.reliable,
            session_expires_s: self.session_expires.get().map(|(_, seconds)| *seconds),
            post_dial_delay_ms: figures.post_dial_delay_ms,
            ring_time_ms: figures.ring_time_ms,
            session_request_delay_ms: figures.session_request_delay_ms,
            failed_session_request_delay_ms: figures.failed_session_request_delay_ms,
            session_disconnect_delay_ms: figures.session_disconnect_delay_ms,
            failed_session_disconnect_delay_ms: figures.failed_session_disconnect_delay_ms,
            dialogs: self.dialogs(caller),
            more_dialogs: self.dialogs.overflowed(),
            transfers: self.transfers.report(caller),
            reasons: self.reasons(),
            headers: self.headers(),
            related: Vec::new(),
            retransmissions: self.ladder.retransmissions() as u64,
            messages_not_kept: self.messages - self.ladder.len() as u64,
            ladder: Vec::new(),
            dtmf: self.info_digits.as_deref().map(InfoDigits::report),
            media: self
                .media
                .as_deref()
                .and_then(|media| media.report(answered.map(|(ts, _)| ts))),
            t38: Vec::new(),
            one_way: None,
            no_media: false,
        })
    }

    /// The same with its ladder.
    pub fn report_with_ladder(&self, call_id: &str, now: Timestamp) -> Option<report::Call> {
        let told = self.report(call_id, now)?;
        Some(report::Call {
            ladder: self.ladder.report(),
            ..told
        })
    }

    /// The caller's tag, where it is known who called.
    fn caller(&self) -> Option<Tag> {
        let origin = self.origin.get()?;
        (!self.is_joined_late()).then_some(origin.from)
    }

    fn redirect_targets(&self) -> Vec<String> {
        let refusals = self
            .attempts
            .initial()
            .filter_map(|(_, _, attempt)| attempt.refusal.get());
        let targets = refusals.flat_map(|refusal| &refusal.targets);
        targets.take(TARGETS).map(ToString::to_string).collect()
    }

    fn dialogs(&self, caller: Option<Tag>) -> Vec<report::Dialog> {
        let mut dialogs: Vec<_> = self
            .dialogs
            .iter()
            .map(|(_, dialog)| report::Dialog {
                early_at: dialog.early.get().map(|(ts, _)| *ts),
                early_code: dialog.early.get().map(|(_, code)| *code),
                answered_at: dialog.answer.get().map(|(ts, _)| *ts),
                answer_code: dialog.answer.get().map(|(_, code)| *code),
                ended_at: dialog.ended_at(),
                hung_up: dialog
                    .hangup()
                    .and_then(|(by, _)| caller.map(|caller| Party::of(by == caller))),
                contact: dialog.contact().map(ToOwned::to_owned),
                remote: dialog.remote().map(|remote| remote.to_string()),
            })
            .collect();
        dialogs.sort_by(|a, b| {
            let key = |dialog: &report::Dialog| {
                let times = [dialog.early_at, dialog.answered_at, dialog.ended_at];
                (
                    times.into_iter().flatten().min(),
                    dialog.contact.clone(),
                    dialog.remote.clone(),
                    times,
                )
            };
            key(a).cmp(&key(b))
        });
        dialogs
    }

    fn reasons(&self) -> Vec<report::Reason> {
        let told = self.reasons.iter().filter_map(|((of, protocol), seen)| {
            let (_, cause, text) = seen.get()?;
            Some(report::Reason {
                of: match of {
                    ReasonOf::Bye => "bye",
                    ReasonOf::Cancel => "cancel",
                    ReasonOf::Refusal => "refusal",
                }
                .to_owned(),
                protocol: protocol.to_string(),
                cause: *cause,
                text: Some(text.to_string()).filter(|text| !text.is_empty()),
            })
        });
        told.collect()
    }

    fn headers(&self) -> BTreeMap<String, String> {
        let names = self.rules.headers.iter();
        let kept = names
            .zip(&self.headers)
            .filter_map(|(name, seen)| Some((name, seen.get()?)));
        kept.map(|(name, (_, value))| (name.to_string(), value.to_string()))
            .collect()
    }
}
