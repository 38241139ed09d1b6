// How command strings become a command and its arguments, against an oracle written from the contract's text.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JobExecutor, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { adapterOf, chunk, spec } from './support/jobs.mjs'
import { SPACES, words } from './support/split-command.mjs'
import { rejection } from './support/wait.mjs'

const SEED = 20_251
const RUNS = 5_000

/** Commands as an adapter sees them: a list of `[command, ...args]`. */
async function split(commands) {
  const adapter = adapterOf()
  await new JobExecutor(adapter).execute(spec(commands.map((command, id) => chunk(id, { command }))))
  return adapter.calls.map(({ command, args }) => [command, ...args])
}

const inherit = [
  'a',
  'ß',
  '€',
  '😀',
  'e\u0301',
  '\0',
  '\u0085',
  '\u200b',
  '\u180e',
  '-',
  '=',
  '$',
  '|',
  ';',
  '*',
  '`',
  '#',
]
const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("'", '"', '\\') },
  { weight: 3, arbitrary: fc.constantFrom(...SPACES) },
  { weight: 3, arbitrary: fc.constantFrom(...inherit) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 4 }) },
)
const commandString = fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join(''))

describe('command strings', () => {
  it.each([
    ['render', ['render']],
    ['  render  a\t b\n', ['render', 'a', 'b']],
    [`a 'b c' "d e"`, ['a', 'b c', 'd e']],
    [`a b'c d'e"f g"h`, ['a', 'bc def gh']],
    [`a '' ""`, ['a', '', '']],
    [`''`, ['']],
    [`a "it's" 'say "x"'`, ['a', "it's", 'say "x"']],
    [`a\\ b c`, ['a b', 'c']],
    [`a \\"b\\" \\'`, ['a', '"b"', "'"]],
    [`a 'it\\'s' 'back\\\\slash'`, ['a', "it's", 'back\\slash']],
    [`a "b  `, ['a', 'b']],
    [`a "b  c`, ['a', 'b  c']],
    [`a 'b`, ['a', 'b']],
    [`a b\\`, ['a', 'b']],
    [`a \\`, ['a']],
    [`a b\\ `, ['a', 'b']],
    [`a \\n \\t`, ['a', 'n', 't']],
    ['a $HOME *.mp4 | b && c > d # e', ['a', '$HOME', '*.mp4', '|', 'b', '&&', 'c', '>', 'd', '#', 'e']],
    ['a\u00a0b\u3000c\ufeffd\u2028e', ['a', 'b', 'c', 'd', 'e']],
    ['\ufeffa b\u2029', ['a', 'b']],
    ['a\u200bb\u0085c\u180ed', ['a\u200bb\u0085c\u180ed']],
    ['ünï "日 本" 😀', ['ünï', '日 本', '😀']],
  ])('%j is %j', async (command, expected) => {
    captureConsole()
    expect(words(command)).toEqual(expected)
    expect(await split([command])).toEqual([expected])
  })

  it(`are split as the contract says, ${RUNS} random ones with seed ${SEED}`, async () => {
    captureConsole()
    const commands = fc
      .sample(commandString, { seed: SEED, numRuns: RUNS * 2 })
      .filter((command) => words(command).length > 0)
      .slice(0, RUNS)
    expect(commands).toHaveLength(RUNS)
    const found = await split(commands)
    const wrong = commands
      .map((command, i) => ({ command, found: found[i], expected: words(command) }))
      .filter(({ found, expected }) => JSON.stringify(found) !== JSON.stringify(expected))
    expect(wrong.slice(0, 5)).toEqual([])
    expect(found).toHaveLength(RUNS)
  })

  it('are split at every white space of JavaScript, and at no other character', async () => {
    captureConsole()
    const commands = []
    for (let code = 1; code < 0x10000; code += 1) {
      const char = String.fromCharCode(code)
      if (/\s/.test(char) || (code >= 0x80 && code < 0x300) || (code >= 0x2000 && code < 0x2100))
        commands.push(`a${char}b`)
    }
    const found = await split(commands)
    found.forEach((list, i) => {
      expect([escape(commands[i]), list.length]).toEqual([escape(commands[i]), /\s/.test(commands[i]) ? 2 : 1])
    })
  })

  it('reach a process of ours the same way', async () => {
    captureConsole()
    let stdout
    const command = `printf '%s|' a 'b c' "d'e" f\\ g "" \\\\ 日本`
    const onChunkComplete = (_, result) => void (stdout = result.stdout)
    await new JobExecutor(new LocalWorkerAdapter()).execute(spec([command]), { onChunkComplete })
    expect(stdout).toBe("a|b c|d'e|f g||\\|日本|")
  })

  it.each(['\\', '\\  ', ' \\\n'])('that hold no word are refused: %j', async (command) => {
    captureConsole()
    expect(words(command)).toEqual([])
    const adapter = adapterOf()
    await rejection(() => new JobExecutor(adapter).execute(spec([command])))
    expect(adapter.calls).toEqual([])
  })

  it.each(['', ' ', '\t\n\v\f\r', '\u00a0\u2028\ufeff'])('that are blank are refused: %j', async (command) => {
    captureConsole()
    const adapter = adapterOf()
    await rejection(() => new JobExecutor(adapter).execute(spec([command])))
    expect(adapter.calls).toEqual([])
  })
})
