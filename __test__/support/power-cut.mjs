// What a disk may hold after a power cut, going by the calls that had been made on a folder until then.
//
// The rules:
// - What is in a file is safe as of the last fsync or fdatasync of that file. Each later write or truncation may have reached the
//   disk or not, in any combination; a write may also have reached it in part. Gaps are zeros.
// - Names are safe as of the last fsync of the folder. Each later change of names (a file created, renamed, unlinked) may have
//   reached the disk or not, independently of all others and of the data. A rename is one change: it happens as a whole.
// - Permissions and locks do not matter.
// Real file systems do better in places (ext4 keeps changes of names in order); none of the usual ones does worse.

/** A folder, as the process sees it and as far as it is safe. */
export class PowerCut {
  /** What every file has been told, by object. */
  #byInode = new Map()
  /** The names as the process sees them, and as they are safe. */
  #names = new Map()
  #safeNames = new Map()
  /** Changes of names that are not safe yet: lists of `[name, file or undefined]`. */
  #changes = []

  /** Takes in one call of a log. */
  apply({ kind, inode, name, place, data }) {
    const steps = {
      create: () => this.#open(inode, name, data),
      open: () => this.#open(inode, name, data),
      write: () => this.#byInode.get(inode).pending.push({ place, data }),
      truncate: () => this.#byInode.get(inode).pending.push({ length: place }),
      sync: () => this.#sync(this.#byInode.get(inode)),
      syncdir: () => this.#syncNames(),
      rename: () => this.#rename(name, String(data)),
      unlink: () => this.#change([[name, undefined]]),
      mkdir: () => {},
      chmod: () => {},
      lock: () => {},
    }
    steps[kind]()
  }

  #open(inode, name, flags) {
    if (!this.#names.has(name)) {
      const file = { safe: Buffer.alloc(0), pending: [] }
      // The number of a file that is gone may be given again.
      this.#byInode.set(inode, file)
      this.#change([[name, file]])
    } else if (String(flags) === 'T') {
      this.#names.get(name).pending.push({ length: 0 })
    }
  }

  #sync(file) {
    file.safe = file.pending.reduce(changed, file.safe)
    file.pending = []
  }

  #rename(from, to) {
    this.#change([
      [to, this.#names.get(from)],
      [from, undefined],
    ])
  }

  #change(change) {
    rename(this.#names, change)
    this.#changes.push(change)
  }

  #syncNames() {
    for (const change of this.#changes) rename(this.#safeNames, change)
    this.#changes = []
  }

  /**
   * A state that the disk may be in now: file names and what is in them. `keeps(what)` says whether a change that was not synced
   * has reached it, `what` being `name` or `data`; `part()` says how much of a write has, from 0 to 1.
   */
  state(keeps, part = () => 1) {
    const names = new Map(this.#safeNames)
    for (const change of this.#changes) if (keeps('name')) rename(names, change)
    const contents = new Map()
    const read = (file) => {
      if (!contents.has(file)) {
        const reached = file.pending.filter(() => keeps('data')).map((change) => cut(change, part()))
        contents.set(file, reached.reduce(changed, file.safe))
      }
      return contents.get(file)
    }
    return new Map([...names].map(([name, file]) => [name, read(file)]))
  }
}

/** The states at the extremes, and `mixes` more, by chance. */
export function statesOf(disk, random, mixes) {
  const extremes = [() => false, () => true, (what) => what === 'name', (what) => what === 'data']
  const mixed = Array.from({ length: mixes }, () =>
    disk.state(
      () => random.chance(0.5),
      () => (random.chance(0.5) ? 1 : random.next()),
    ),
  )
  return [...extremes.map((keeps) => disk.state(keeps)), ...mixed]
}

function rename(names, change) {
  for (const [name, file] of change) {
    if (file) names.set(name, file)
    else names.delete(name)
  }
}

/** A content after one change: `{ place, data }` is a write, `{ length }` a truncation. */
function changed(content, { place, data, length = Math.max(content.length, place + data.length) }) {
  const next = Buffer.alloc(length)
  content.copy(next)
  data?.copy(next, place)
  return next
}

/** The part of a change that has reached the disk. */
const cut = (change, part) =>
  change.data ? { ...change, data: change.data.subarray(0, change.data.length * part) } : change
