//! The fenced blocks of a page.

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) language: String,
    pub(super) text: String,
}

impl Block {
    /// Whether it talks to a server that runs already, and may do so again.
    pub(super) fn is_client(&self) -> bool {
        let starts = |command: &str| self.text.lines().all(|line| line.starts_with(command));
        match self.language.as_str() {
            "python" | "js" => true,
            "sh" => starts("nats ") || starts("jetway start ") || self.text.contains("jetway status "),
            _ => false,
        }
    }
}

/// All of them, in order.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), text: String::new() });
            }
            (Some(_end), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn blocks_have_a_language_and_a_text() {
    let page = "text\n```sh\none\ntwo\n```\nmore\n```text\n```\n";
    let block = |language: &str, text: &str| Block { language: language.to_owned(), text: text.to_owned() };
    assert_eq!(blocks(page), [block("sh", "one\ntwo\n"), block("text", "")]);
}
