//! Feature hashing as a transform for fairlead: texts in, counts of their words out. Each word, in lower case, counts in
//! the column that its hash (FNV-1a, 32 bits) gives, modulo 256.
//!
//! Build: sh build.sh. The border of a module is described in docs/pipelines.md.

const COLUMNS: usize = 256;
const BYTES: u8 = 14;
const FP32: u8 = 12;

/// The inputs of the call under way, and the answer of the last one. A module has one thread.
static mut INPUT: Vec<u8> = Vec::new();
static mut OUTPUT: Vec<u8> = Vec::new();

/// Room for the inputs.
#[no_mangle]
pub extern "C" fn allocate(size: u32) -> *mut u8 {
    unsafe {
        let input = &mut *(&raw mut INPUT);
        input.clear();
        input.resize(size as usize, 0);
        input.as_mut_ptr()
    }
}

/// Answers the inputs; the high half of the result is where, the low half how many bytes.
#[no_mangle]
pub extern "C" fn transform(at: *const u8, size: u32) -> u64 {
    let input = unsafe { std::slice::from_raw_parts(at, size as usize) };
    let answer = counts(input).unwrap_or_else(refuse);
    unsafe {
        let output = &mut *(&raw mut OUTPUT);
        *output = answer;
        (output.as_ptr() as u64) << 32 | output.len() as u64
    }
}

/// An answer that says what is wrong with the inputs.
fn refuse(text: &str) -> Vec<u8> {
    let mut out = b"FLE1".to_vec();
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
    out
}

/// Takes a frame apart.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], &'static str> {
        if n > self.0.len() {
            return Err("the frame ends early");
        }
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        Ok(head)
    }
    fn u32(&mut self) -> Result<usize, &'static str> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().unwrap()) as usize)
    }
    fn u64(&mut self) -> Result<usize, &'static str> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().unwrap()) as usize)
    }
}

fn counts(frame: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut r = Reader(frame);
    if r.take(4)? != b"FLT1" || r.u32()? != 1 {
        return Err("expected one tensor");
    }
    let name = r.u32()?;
    r.take(name)?;
    let head = r.take(4)?;
    if head[0] != BYTES {
        return Err("expected BYTES");
    }
    let mut rows = 1;
    for _ in 0..head[1] {
        rows *= r.u64()?;
    }
    r.u64()?; // the bytes of the texts

    let mut table = vec![0f32; rows * COLUMNS];
    for row in table.chunks_mut(COLUMNS) {
        let length = r.u32()?;
        let text = std::str::from_utf8(r.take(length)?).map_err(|_| "a text is not UTF-8")?;
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            if !word.is_empty() {
                row[fnv(&word.to_lowercase()) as usize % COLUMNS] += 1.0;
            }
        }
    }
    Ok(answer(rows, &table))
}

fn fnv(word: &str) -> u32 {
    word.bytes().fold(2166136261, |h, b| (h ^ b as u32).wrapping_mul(16777619))
}

/// A frame of one tensor, "counts" FP32 [rows,256].
fn answer(rows: usize, table: &[f32]) -> Vec<u8> {
    let mut out = b"FLT1".to_vec();
    out.extend(1u32.to_le_bytes());
    out.extend(6u32.to_le_bytes());
    out.extend(b"counts");
    out.extend([FP32, 2, 0, 0]);
    out.extend((rows as u64).to_le_bytes());
    out.extend((COLUMNS as u64).to_le_bytes());
    out.extend((table.len() as u64 * 4).to_le_bytes());
    for v in table {
        out.extend(v.to_le_bytes());
    }
    out
}
