//! What can be done to the rules while siphon runs.

use super::list::MAX_RULES;
use super::rule::{Draft, Rule};

/// Where a rule is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the rule with this name.
    Before(String),
    /// As the first, second, …, from 1; behind all others where there are fewer.
    At(usize),
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another rule; behind all others, unless a place is named.
    Add {
        /// The rule.
        rule: Box<Rule>,
        /// Its place.
        place: Option<Place>,
    },
    /// A rule says something else, and stays where it is, unless a place is named.
    Change {
        /// Its name.
        name: String,
        /// What it says from now on; what is absent stays as it is.
        draft: Box<Draft>,
        /// Conditions it has no more.
        without: Vec<String>,
        /// Its place.
        place: Option<Place>,
    },
    /// A rule goes.
    Remove {
        /// Its name.
        name: String,
    },
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// There is no such rule.
    #[error("no rule is called {0}")]
    NoSuchRule(String),
    /// Two rules would have one name.
    #[error("a rule called {0} is there already")]
    NameTaken(String),
    /// There are as many as may be.
    #[error("there are {MAX_RULES} rules already, and no more may be")]
    TooMany,
    /// The rule is to lose what it has not.
    #[error("the rule {name} has no condition {condition}")]
    NoSuchCondition {
        /// The rule.
        name: String,
        /// What it has not.
        condition: String,
    },
}

impl Change {
    /// The rules as they are with this change.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn make(self, mut rules: Vec<Rule>) -> Result<Vec<Rule>, Unchanged> {
        let (rule, place) = match self {
            Self::Add { rule, place } => {
                if rules.iter().any(|known| known.name == rule.name) {
                    return Err(Unchanged::NameTaken(rule.name));
                }
                if rules.len() >= MAX_RULES {
                    return Err(Unchanged::TooMany);
                }
                let last = Place::At(rules.len() + 1);
                (*rule, place.unwrap_or(last))
            }
            Self::Change {
                name,
                draft,
                without,
                place,
            } => {
                let at = position(&rules, &name)?;
                let known = rules.remove(at);
                let mut changed = Draft::default().over(&known);
                for condition in without {
                    if !changed.drop_condition(&condition) {
                        return Err(Unchanged::NoSuchCondition { name, condition });
                    }
                }
                // The name is what counts and answers go by; it stays.
                let draft = Draft { name: None, ..*draft };
                (draft.over(&changed), place.unwrap_or(Place::At(at + 1)))
            }
            Self::Remove { name } => {
                let at = position(&rules, &name)?;
                rules.remove(at);
                return Ok(rules);
            }
        };
        let at = match place {
            // Before itself is where it is; it is not among the others now.
            Place::Before(name) => position(&rules, &name)?,
            Place::At(number) => number.saturating_sub(1).min(rules.len()),
        };
        rules.insert(at, rule);
        Ok(rules)
    }
}

fn position(rules: &[Rule], name: &str) -> Result<usize, Unchanged> {
    let at = rules.iter().position(|rule| rule.name == name);
    at.ok_or_else(|| Unchanged::NoSuchRule(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::rule::Said;
    use super::*;

    fn draft(words: &[(&str, &str)]) -> Draft {
        let mut draft = Draft::default();
        for (word, text) in words {
            draft.say(word, &Said::Text(text)).unwrap();
        }
        draft
    }

    fn rule(name: &str) -> Rule {
        draft(&[("name", name), ("level", "full"), ("from", name)])
            .finish()
            .unwrap()
    }

    fn add(name: &str, place: Option<Place>) -> Change {
        Change::Add {
            rule: Box::new(rule(name)),
            place,
        }
    }

    fn change(name: &str, words: &[(&str, &str)], without: &[&str], place: Option<Place>) -> Change {
        Change::Change {
            name: name.to_owned(),
            draft: Box::new(draft(words)),
            without: without.iter().map(|word| (*word).to_owned()).collect(),
            place,
        }
    }

    fn names(rules: &[Rule]) -> String {
        rules.iter().map(|rule| rule.name.as_str()).collect()
    }

    #[test]
    fn rules_come_go_and_move() {
        let before = |name: &str| Some(Place::Before(name.to_owned()));
        let mut rules = Vec::new();
        for (step, becomes) in [
            (add("a", None), "a"),
            (add("b", None), "ab"),
            (add("c", before("b")), "acb"),
            (add("d", Some(Place::At(1))), "dacb"),
            (add("e", Some(Place::At(99))), "dacbe"),
            (change("b", &[], &[], Some(Place::At(1))), "bdace"),
            (change("b", &[], &[], before("e")), "dacbe"),
            (change("d", &[("level", "headers")], &[], None), "dacbe"),
            (Change::Remove { name: "a".to_owned() }, "dcbe"),
        ] {
            rules = step.make(rules).unwrap();
            assert_eq!(names(&rules), becomes);
        }
        assert_eq!(rules[0].level.label(), "headers");
        assert!(rules[0].conditions.from.is_some(), "what is not spoken of stays");
    }

    #[test]
    fn conditions_come_and_go() {
        let rules = vec![rule("a")];
        let rules = change("a", &[("to", "bob")], &["from"], None).make(rules).unwrap();
        assert!(rules[0].conditions.from.is_none() && rules[0].conditions.to.is_some());
        let none = change("a", &[], &["codec"], None).make(rules).unwrap_err();
        assert_eq!(none.to_string(), "the rule a has no condition codec");
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        let rules = || vec![rule("a")];
        let why = |change: Change| change.make(rules()).unwrap_err().to_string();
        assert_eq!(why(add("a", None)), "a rule called a is there already");
        assert_eq!(
            why(add("b", Some(Place::Before("x".to_owned())))),
            "no rule is called x"
        );
        assert_eq!(why(Change::Remove { name: "x".to_owned() }), "no rule is called x");
        assert_eq!(why(change("x", &[], &[], None)), "no rule is called x");
        let many: Vec<Rule> = (0..MAX_RULES).map(|number| rule(&number.to_string())).collect();
        let why = add("a", None).make(many).unwrap_err().to_string();
        assert_eq!(why, "there are 256 rules already, and no more may be");
    }
}
