//! How many pixels a picture has, by its header. Pure: it must not read files, and never decodes a picture.

use imagesize::blob_size;

/// Endings of the names of pictures whose headers are read.
const ENDINGS: &[&str] = &["avif", "gif", "jpeg", "jpg", "png", "webp"];

/// Smaller pictures are not looked at: what could be saved is not worth a word. In bytes.
pub(super) const LARGE: u64 = 200_000;

/// Whether a file is a picture made of pixels, by its name.
pub(super) fn is_picture(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Returns the width and height of a picture, given its first bytes. `None` if these do not tell.
pub(super) fn pixels(start: &[u8]) -> Option<(u32, u32)> {
    let size = blob_size(start).ok()?;
    Some((size.width.try_into().ok()?, size.height.try_into().ok()?))
}
