//! Lines that hang on lines, as text. ★ Pure.

/// How far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Done,
    Now,
    ToCome,
    Failed,
    /// No step, only words.
    None,
}

/// Colours and width of what it is shown on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Screen {
    pub(super) colours: bool,
    /// Characters in a line; a longer one is broken. None: as long as it is.
    pub(super) width: Option<usize>,
}

/// A line, and what hangs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    mark: Mark,
    text: String,
    children: Vec<Line>,
}

/// A line that is broken keeps at least so much room, however deep it hangs.
const ROOM_MIN: usize = 24;

impl Line {
    pub(super) fn new(mark: Mark, text: impl Into<String>) -> Self {
        Self { mark, text: text.into(), children: Vec::new() }
    }

    /// Words without a mark.
    pub(super) fn words(text: impl Into<String>) -> Self {
        Self::new(Mark::None, text)
    }

    pub(super) fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// The whole tree.
    pub(super) fn render(&self, screen: Screen) -> String {
        let mut out = String::new();
        out.push_str(&paint(screen, BOLD, &self.text));
        out.push('\n');
        self.render_children("", screen, &mut out);
        out
    }

    fn render_children(&self, prefix: &str, screen: Screen, out: &mut String) {
        for (index, child) in self.children.iter().enumerate() {
            let is_last = index + 1 == self.children.len();
            let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let below = format!("{prefix}{below}");
            // What is broken stays beside the branches that go on below it.
            let hang = if child.children.is_empty() { format!("{below}  ") } else { format!("{below}│ ") };
            let mark = child.mark.sign().map(|sign| format!("{sign} ")).unwrap_or_default();
            let room = screen.width.map(|width| {
                let taken = below.chars().count() + mark.chars().count().max(2);
                width.saturating_sub(taken).max(ROOM_MIN)
            });
            for (number, part) in broken(&child.text, room).into_iter().enumerate() {
                let painted = child.mark.colour().map_or_else(|| part.clone(), |colour| paint(screen, colour, &part));
                if number == 0 {
                    let mark = child.mark.colour().map_or_else(|| mark.clone(), |colour| paint(screen, colour, &mark));
                    out.push_str(&format!("{prefix}{branch}{mark}{painted}\n"));
                } else {
                    out.push_str(&format!("{hang}{painted}\n"));
                }
            }
            child.render_children(&below, screen, out);
        }
    }
}

const BOLD: &str = "1";

impl Mark {
    const fn sign(self) -> Option<&'static str> {
        match self {
            Self::Done => Some("✔"),
            Self::Now => Some("▶"),
            Self::ToCome => Some("○"),
            Self::Failed => Some("✖"),
            Self::None => None,
        }
    }

    const fn colour(self) -> Option<&'static str> {
        match self {
            Self::Done => Some("32"),
            Self::Now => Some("36"),
            Self::ToCome => Some("2"),
            Self::Failed => Some("31"),
            Self::None => None,
        }
    }
}

/// The text in a colour, if there are any.
pub(super) fn paint(screen: Screen, colour: &str, text: &str) -> String {
    if screen.colours && !text.is_empty() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A text in lines of so many characters at most, broken between words; a longer word stays whole, to be copied.
fn broken(text: &str, room: Option<usize>) -> Vec<String> {
    // What others wrote may hold anything; a terminal is told nothing by it.
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let Some(room) = room else { return vec![clean] };
    let mut lines: Vec<String> = Vec::new();
    for word in clean.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Line {
        Line::words("root").with([
            Line::new(Mark::Done, "first").with([Line::words("below")]),
            Line::new(Mark::Failed, "one two three four five six seven"),
        ])
    }

    #[test]
    fn branches_join() {
        let text = tree().render(Screen::default());
        assert_eq!(text, "root\n├─ ✔ first\n│  └─ below\n└─ ✖ one two three four five six seven\n");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = tree().render(Screen { colours: false, width: Some(30) });
        assert!(text.ends_with("└─ ✖ one two three four five\n     six seven\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
    }

    #[test]
    fn colours_are_where_they_are_wanted_and_words_of_others_steer_no_terminal() {
        let line = Line::words("a").with([Line::new(Mark::Done, "evil \x1b[2J\nwords")]);
        assert!(!line.render(Screen::default()).contains('\x1b'));
        let coloured = line.render(Screen { colours: true, width: None });
        assert!(coloured.contains("\x1b[32mevil  [2J words\x1b[0m"), "{coloured:?}");
    }
}
