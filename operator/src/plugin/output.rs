//! What is written, and whether on a terminal.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::arguments::{Color, Format};
use super::failure::Failure;
use super::tree::Screen;

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) is_terminal: bool,
    colours: bool,
}

impl Output {
    pub(super) fn new(color: Color) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        // https://no-color.org: present and not empty.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !refused,
        };
        Self { is_terminal, colours }
    }

    /// Asked anew each time: a window changes its size.
    pub(super) fn screen(self) -> Screen {
        let size = if self.is_terminal { terminal_size::terminal_size() } else { None };
        Screen { colours: self.colours, width: size.map(|(width, _)| usize::from(width.0)) }
    }

    /// Lines that fit on the terminal.
    fn height(self) -> usize {
        let size = if self.is_terminal { terminal_size::terminal_size() } else { None };
        size.map_or(usize::MAX, |(_, height)| usize::from(height.0).max(2))
    }

    pub(super) fn text(self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    pub(super) fn line(self, line: &str) -> Result<(), Failure> {
        self.text(&format!("{line}\n"))
    }

    /// In the place of what was there before. What does not fit is left out: a terminal would roll.
    pub(super) fn redraw(self, text: &str) -> Result<(), Failure> {
        let height = self.height() - 1;
        let lines: Vec<_> = text.lines().collect();
        let mut shown = lines.iter().take(height).copied().collect::<Vec<_>>();
        let left_out = lines.len().saturating_sub(height);
        let more = format!("… {} more lines", left_out + 1);
        if left_out > 0 {
            shown.pop();
            shown.push(&more);
        }
        // Each line is cleared as it is written, and then what is below: nothing flickers.
        self.text(&format!("\x1b[H{}\x1b[K\n\x1b[J", shown.join("\x1b[K\n")))
    }

    /// An empty terminal, to be drawn on.
    pub(super) fn clear(self) -> Result<(), Failure> {
        self.text("\x1b[2J")
    }

    pub(super) fn data(self, value: &Value, format: Format) -> Result<(), Failure> {
        let text = match format {
            Format::Json => serde_json::to_string_pretty(value).map(|text| format!("{text}\n")).map_err(invalid)?,
            Format::Yaml => serde_saphyr::to_string(value).map_err(invalid)?,
        };
        self.text(&text)
    }
}

fn invalid(error: impl std::fmt::Display) -> Failure {
    Failure::Output(std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string()))
}
