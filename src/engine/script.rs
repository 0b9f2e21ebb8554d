//! What commands do in the simulated engine.

use async_trait::async_trait;

use super::exec::{Executed, Talk};

/// What a command does that a test foresees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// It ends.
    Ends(Executed),
    /// It never ends.
    Hangs,
    /// It answers what contains the first with the second, and ends on anything else.
    Answers(Vec<(String, String)>),
}

impl Default for Script {
    fn default() -> Script {
        Script::Ends(Executed { exit_code: 0, output: String::new(), cut: false })
    }
}

/// A client that keeps to its script.
pub(super) struct Actor {
    script: Script,
    pending: Option<String>,
}

impl Actor {
    pub(super) fn new(script: Script) -> Actor {
        Actor { script, pending: None }
    }
}

#[async_trait]
impl Talk for Actor {
    async fn say(&mut self, text: &str) -> Result<(), String> {
        self.pending = match &self.script {
            Script::Ends(executed) => Some(executed.output.clone()),
            Script::Hangs => None,
            Script::Answers(answers) => answers
                .iter()
                .find(|(question, _)| text.contains(question.as_str()))
                .map(|(_, answer)| answer.clone()),
        };
        Ok(())
    }

    async fn hear(&mut self) -> Result<Option<Vec<u8>>, String> {
        match (self.pending.take(), &self.script) {
            (Some(answer), _) => Ok(Some(answer.into_bytes())),
            (None, Script::Hangs) => std::future::pending().await,
            (None, _) => Ok(None),
        }
    }

    async fn close(&mut self) {
        self.script = Script::default();
    }
}
