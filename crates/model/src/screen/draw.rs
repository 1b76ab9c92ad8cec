//! From letters to pixels. Only what has changed is drawn: a frame buffer may lie behind
//! a slow bus.

use alloc::{string::String, vec::Vec};

use embedded_graphics::{
    geometry::{OriginDimensions, Point},
    image::GetPixel,
    mono_font::{MonoFont, ascii::FONT_8X13},
    pixelcolor::BinaryColor,
};

use super::{Ink, Page};
use crate::framebuffer::{self, Framebuffer};

/// The letters: of ASCII, as X11 has them.
const FONT: &MonoFont<'static> = &FONT_8X13;
/// Pixels of a letter.
const WIDTH: u32 = 8;
const HEIGHT: u32 = 13;
const _: () = assert!(FONT.character_size.width == WIDTH && FONT.character_size.height == HEIGHT);
// Every frame buffer has room for the page.
const _: () = assert!(framebuffer::LEAST[0] >= Page::LEAST[0] as u32 * WIDTH);
const _: () = assert!(framebuffer::LEAST[1] >= Page::LEAST[1] as u32 * HEIGHT);

/// The pixels of a letter, row by row, the leftmost in the highest bit.
pub fn glyph(letter: u8) -> [u8; HEIGHT as usize] {
    let index = FONT.glyph_mapping.index(char::from(letter)) as u32;
    let in_a_row = FONT.image.size().width / WIDTH;
    let corner = (index % in_a_row * WIDTH, index / in_a_row * HEIGHT);
    let is_set = |x: u32, y: u32| {
        let point = Point::new((corner.0 + x) as i32, (corner.1 + y) as i32);
        FONT.image.pixel(point) == Some(BinaryColor::On)
    };
    core::array::from_fn(|y| {
        let bits = (0..WIDTH).map(|x| u8::from(is_set(x, y as u32)) << (WIDTH - 1 - x));
        bits.fold(0, |row, bit| row | bit)
    })
}

/// What letters are drawn at most as many times as large as.
const MOST: u32 = 8;
/// Bytes of a pixel at most.
const BYTES: usize = 4;
/// A row of a letter's pixels.
type Row = [u8; (WIDTH * MOST) as usize * BYTES];

/// A screen: its memory, and what is to be seen there.
pub struct Screen<'a> {
    frame: Framebuffer,
    memory: &'a mut [u8],
    scale: u32,
    /// What is shown.
    pub page: Page,
    /// What has been drawn, line by line.
    drawn: Vec<(Ink, String)>,
}

impl<'a> Screen<'a> {
    /// A screen that shows nothing, in `memory`, which begins with the first pixel.
    ///
    /// # Errors
    /// There is less memory than the frame buffer takes.
    pub fn new(frame: Framebuffer, memory: &'a mut [u8]) -> Result<Self, &'static str> {
        let size = usize::try_from(frame.size()).map_err(|_| "more than can be addressed")?;
        let memory = memory.get_mut(..size).ok_or("smaller than its pixels")?;
        let scale = Self::scale(frame);
        let count = |pixels: u32, each: u32| (pixels / (each * scale)) as usize;
        let page = Page::new(count(frame.width, WIDTH), count(frame.height, HEIGHT));
        memory.fill(0);
        let mut screen = Self {
            frame,
            memory,
            scale,
            page,
            drawn: Vec::new(),
        };
        if screen.word(frame.format.pixel(Ink::PAPER)) != [0; BYTES] {
            screen.clear();
        }
        Ok(screen)
    }

    /// How many times as large letters are drawn: 80 in a row can still be read from a
    /// step away.
    fn scale(frame: Framebuffer) -> u32 {
        let [columns, lines] = Page::COMFORTABLE.map(|n| n as u32);
        let wide = frame.width / (columns * WIDTH);
        wide.min(frame.height / (lines * HEIGHT)).clamp(1, MOST)
    }

    /// Draws what has changed on the page since the last time.
    pub fn draw(&mut self) {
        let lines = self.page.lines();
        let drawn = core::mem::take(&mut self.drawn);
        let none = (Ink::Plain, String::new());
        for number in 0..lines.len().max(drawn.len()) {
            let [new, old] = [&lines, &drawn].map(|all| all.get(number).unwrap_or(&none));
            let columns = new.1.len().max(old.1.len()).min(self.page.columns());
            for column in 0..columns {
                let at = |line: &(Ink, String)| {
                    let letter = line.1.as_bytes().get(column).copied().unwrap_or(b' ');
                    // A blank looks the same in every ink.
                    (letter, (letter != b' ').then_some(line.0))
                };
                if at(new) != at(old) {
                    self.letter(column as u32, number as u32, at(new).0, new.0);
                }
            }
        }
        self.drawn = lines;
    }

    fn letter(&mut self, column: u32, line: u32, letter: u8, ink: Ink) {
        let format = self.frame.format;
        let bytes = usize::from(format.bytes);
        let words = [Ink::PAPER, ink.colour()].map(|c| self.word(format.pixel(c)));
        let scale = self.scale as usize;
        let across = WIDTH as usize * scale;
        let stride = self.frame.stride as usize;
        let mut at = (line * HEIGHT) as usize * scale * stride + column as usize * across * bytes;
        for bits in glyph(letter) {
            let mut row: Row = [0; _];
            let pixels = row.chunks_exact_mut(bytes).take(across);
            for (nth, pixel) in pixels.enumerate() {
                let is_set = bits >> (WIDTH as usize - 1 - nth / scale) & 1;
                let word = &words[usize::from(is_set)];
                pixel
                    .iter_mut()
                    .zip(word)
                    .for_each(|(to, from)| *to = *from);
            }
            for _ in 0..scale {
                let row = &row[..across * bytes];
                if let Some(pixels) = self.memory.get_mut(at..at + row.len()) {
                    pixels.copy_from_slice(row);
                }
                at += stride;
            }
        }
    }

    /// Fills every row with paper.
    fn clear(&mut self) {
        let bytes = usize::from(self.frame.format.bytes);
        let paper = self.word(self.frame.format.pixel(Ink::PAPER));
        for row in self.memory.chunks_exact_mut(self.frame.stride as usize) {
            let pixels = row.chunks_exact_mut(bytes).take(self.frame.width as usize);
            for pixel in pixels {
                pixel
                    .iter_mut()
                    .zip(paper)
                    .for_each(|(to, from)| *to = from);
            }
        }
    }

    /// The bytes of a pixel's word.
    fn word(&self, pixel: u32) -> [u8; BYTES] {
        pixel.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::Region;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;

    fn frame(width: u32, height: u32, stride: u32, format: &str) -> Framebuffer {
        let memory = Region {
            base: 0x1000,
            size: u64::from(stride) * u64::from(height),
        };
        Framebuffer::new(memory, [width, height, stride], format).unwrap()
    }

    /// The letter whose pixels begin there.
    fn read(frame: &Framebuffer, memory: &[u8], scale: u32, column: u32, line: u32) -> char {
        let bytes = usize::from(frame.format.bytes);
        let paper = frame.format.pixel(Ink::PAPER).to_le_bytes();
        let set = |x: u32, y: u32| {
            let at = (y * frame.stride) as usize + x as usize * bytes;
            memory[at..at + bytes] != paper[..bytes]
        };
        let same = |letter: &char| {
            let rows = glyph(*letter as u8);
            (0..WIDTH * scale).all(|x| {
                (0..HEIGHT * scale).all(|y| {
                    let on = rows[(y / scale) as usize] & 0x80 >> (x / scale) != 0;
                    on == set((column * WIDTH * scale) + x, (line * HEIGHT * scale) + y)
                })
            })
        };
        (' '..='~').find(same).unwrap_or('\u{fffd}')
    }

    fn shown(frame: Framebuffer, memory: &mut [u8], says: &[&str]) -> Vec<String> {
        let mut screen = Screen::new(frame, memory).unwrap();
        for text in says {
            screen.page.fail(text);
            screen.draw();
        }
        let (scale, columns) = (screen.scale, screen.page.columns() as u32);
        let lines = screen.page.lines().len() as u32;
        drop(screen);
        (0..lines)
            .map(|line| {
                let letters = (0..columns).map(|column| read(&frame, memory, scale, column, line));
                letters.collect::<String>().trim_end().into()
            })
            .collect()
    }

    #[test]
    fn the_same_words_are_read_from_the_pixels_of_every_format_and_size() {
        for format in framebuffer::Format::ALL {
            for (width, height) in [(320, 200), (640, 480), (1280, 720), (1920, 1080)] {
                let stride = (width + 4) * u32::from(format.bytes);
                let frame = frame(width, height, stride, format.name);
                let mut memory = vec![0xaa; frame.size() as usize];
                let lines = shown(frame, &mut memory, &["bad news", "so: {x} ~ [9] #8?"]);
                let name = format.name;
                let found = lines.iter().any(|line| line.contains("so: {x} ~ [9] #8?"));
                assert!(found, "{name} {width}: {lines:?}");
                let left = lines.iter().any(|line| line.contains('\u{fffd}'));
                assert!(!left, "{name} {width}: {lines:?}");
            }
        }
    }

    #[test]
    fn letters_grow_with_the_screen() {
        let scale = |width, height| Screen::scale(frame(width, height, width * 4, "x8r8g8b8"));
        let sizes = [
            (320, 200),
            (1024, 768),
            (1280, 1024),
            (1920, 1080),
            (3840, 2160),
            (1920, 320),
        ];
        assert_eq!(sizes.map(|(w, h)| scale(w, h)), [1, 1, 2, 3, 6, 1]);
    }

    #[test]
    fn memory_that_is_too_small_is_refused() {
        let frame = frame(640, 480, 2560, "x8r8g8b8");
        let mut memory = vec![0; frame.size() as usize - 1];
        assert!(Screen::new(frame, &mut memory).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn nothing_outside_of_the_rows_is_written(
            width in 320_u32..1400,
            height in 200_u32..900,
            slack in 0_u32..9,
            nth in 0..framebuffer::Format::ALL.len(),
            text in ".{0,400}",
        ) {
            let format = framebuffer::Format::ALL[nth];
            let bytes = u32::from(format.bytes);
            let frame = frame(width, height, (width + slack) * bytes, format.name);
            let size = frame.size() as usize;
            let mut memory = vec![0x55; size + 64];
            let mut screen = Screen::new(frame, &mut memory).unwrap();
            screen.page.fail(&text);
            screen.draw();
            drop(screen);
            prop_assert!(memory[size..].iter().all(|byte| *byte == 0x55));
            // Between the rows nothing but what was put there in the beginning.
            for row in memory[..size].chunks_exact(frame.stride as usize) {
                let behind = &row[(width * bytes) as usize..];
                prop_assert!(behind.iter().all(|byte| *byte == 0));
            }
        }

        #[test]
        fn what_is_drawn_step_by_step_is_what_is_drawn_at_once(
            texts in proptest::collection::vec("[ -~]{0,120}", 1..6),
        ) {
            let frame = frame(400, 300, 1600, "x8r8g8b8");
            let size = frame.size() as usize;
            let (mut slowly, mut at_once) = (vec![0; size], vec![0; size]);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let one = shown(frame, &mut slowly, &texts);
            let mut screen = Screen::new(frame, &mut at_once).unwrap();
            texts.iter().for_each(|text| screen.page.fail(text));
            screen.draw();
            drop(screen);
            prop_assert!(slowly == at_once, "{one:?}");
        }
    }
}
