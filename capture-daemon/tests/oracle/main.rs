//! What siphon says of captures, held against others who know: tshark, the same frames in another order, and the verdicts
//! that RFC 4475 and RFC 5118 give of their own messages.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod captures;
mod differences;
mod jobs;
mod order;
mod reports;
mod response_times;
mod second_opinion;
mod torture;
mod turn;
