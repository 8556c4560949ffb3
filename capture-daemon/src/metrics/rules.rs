//! What rules come to, in the exposition format. Rules come and go, and the recorder keeps every series it ever had, so the lines
//! are written here: those of the rules there are.

use std::fmt::Write;

use super::glossary::{self as m, Metric};
use crate::control::RuleStatus;

/// Appends the figures of each rule to `page`. Names are letters, digits, `-`, `_` and `.`, so that nothing is escaped.
pub fn render(rules: &[RuleStatus], page: &mut String) {
    type Figure = fn(&RuleStatus) -> u64;
    let figures: [(&Metric, Figure); 4] = [
        (&m::RULE_CALLS, |rule| rule.calls),
        (&m::RULE_CALLS_NOW, |rule| rule.calls_now),
        (&m::RULE_PACKETS, |rule| rule.rtp_packets),
        (&m::RULE_NEVER, |rule| rule.never.is_some().into()),
    ];
    for (metric, figure) in figures.into_iter().filter(|_| !rules.is_empty()) {
        let (name, kind) = (metric.name, metric.kind.label());
        // Writing to a String cannot fail.
        let _ = write!(page, "# HELP {name} {}\n# TYPE {name} {kind}\n", metric.help);
        for rule in rules {
            let _ = writeln!(page, "{name}{{rule=\"{}\"}} {}", rule.name(), figure(rule));
        }
        page.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_rule_has_its_lines_and_a_rule_that_went_has_none() {
        let rule = |name: &str, calls: u64| RuleStatus {
            rule: json!({"name": name}).as_object().unwrap().clone(),
            calls,
            never: (calls == 0).then(|| "why".to_owned()),
            ..RuleStatus::default()
        };
        let mut page = String::new();
        render(&[rule("one-in-ten", 7), rule("two", 0)], &mut page);
        assert!(page.contains("# TYPE siphon_rule_calls_total counter\n"));
        assert!(
            page.contains(
                "\nsiphon_rule_calls_total{rule=\"one-in-ten\"} 7\nsiphon_rule_calls_total{rule=\"two\"} 0\n"
            )
        );
        assert!(page.contains("\nsiphon_rule_can_never_match{rule=\"one-in-ten\"} 0\n"));
        assert!(page.contains("\nsiphon_rule_can_never_match{rule=\"two\"} 1\n"));
        let mut page = String::new();
        render(&[], &mut page);
        assert_eq!(page, "");
    }
}
