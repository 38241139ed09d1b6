// What every adapter that runs commands must do, seen through a JobExecutor.
import { describe, expect, it, vi } from 'vitest'
import { JobExecutor } from '../../index.js'
import { captureConsole } from './console.mjs'
import { tempFolder } from './files.mjs'
import { spec } from './jobs.mjs'
import { processMark } from './processes.mjs'
import { rejection, until } from './wait.mjs'

/** What an adapter does that runs commands as children of this process. */
const HERE = {
  killed: 'Chunk 1 failed with exit code -1: ',
  missing: 'spawn no-such-command-here ENOENT',
  inherits: true,
}

/** `make()` gives an adapter; what it does otherwise than adapters here is said in `differs`: texts, or matchers
 * of them. */
export function workerAdapterContract(name, make, differs) {
  const { killed, missing, inherits } = { ...HERE, ...differs }
  describe(`${name}, as a worker adapter`, () => {
    const shell = (script) => `sh -c "${script}"`
    const run = (command, options, adapter = make()) => new JobExecutor(adapter).execute(spec([command]), options)

    it('hands on the result with all its fields', async () => {
      captureConsole()
      const seen = []
      await run(shell('echo out; echo err >&2'), { onChunkComplete: (id, result) => void seen.push([id, result]) })
      const result = { exitCode: 0, stdout: 'out\n', stderr: 'err\n', durationMs: expect.any(Number) }
      expect(seen).toEqual([[1, result]])
    })

    it('streams both outputs, in order and complete, before the chunk completes', async () => {
      captureConsole()
      const seen = []
      await run(shell('echo a; sleep 0.05; echo b; sleep 0.05; echo c >&2'), {
        onChunkStdout: (id, data) => void seen.push(`${id} out ${data.trim()}`),
        onChunkStderr: (id, data) => void seen.push(`${id} err ${data.trim()}`),
        onChunkComplete: (id) => void seen.push(`${id} done`),
      })
      expect(seen).toEqual(['1 out a', '1 out b', '1 err c', '1 done'])
    })

    const failures = [
      ['an exit code', shell('echo oops >&2; exit 3'), 'Chunk 1 failed with exit code 3: oops\n'],
      ['a signal', shell('kill -9 $$'), killed],
      ['a command that is not there', 'no-such-command-here', missing],
    ]
    it.each(failures.filter(([, , told]) => told))('reports %s as a failure', async (_, command, told) => {
      captureConsole()
      const error = await rejection(() => run(command))
      const head = 'Chunk 1 failed after 1 attempts: '
      expect([error.message.slice(0, head.length), error.message.slice(head.length)]).toEqual([head, told])
    })

    it('runs in the job folder, with the environment of this process where it inherits that', async () => {
      captureConsole()
      const jobDir = tempFolder()
      vi.stubEnv('HELIOS_TEST_VALUE', 'inherited')
      let stdout
      try {
        await run(shell('pwd; echo $HELIOS_TEST_VALUE'), {
          jobDir,
          onChunkComplete: (_, r) => void (stdout = r.stdout),
        })
      } finally {
        vi.unstubAllEnvs()
      }
      expect(stdout).toBe(`${jobDir}\n${inherits ? 'inherited' : ''}\n`)
    })

    it('ends its process when the job is aborted', async (context) => {
      captureConsole()
      const mark = processMark(context)
      const control = new AbortController()
      const command = `env HELIOS_TEST_MARK=${mark.env.HELIOS_TEST_MARK} sleep 60`
      const job = rejection(() => run(command, { signal: control.signal }))
      await until(() => mark.living().length > 0, 'the process to start')
      control.abort()
      expect(await job).toMatchObject({ name: 'AbortError', message: 'Job aborted' })
      expect(mark.living()).toEqual([])
    })

    it('is called as a method, through whatever `execute` is at the time', async () => {
      captureConsole()
      const adapter = make()
      const spy = vi.spyOn(adapter, 'execute')
      await run('true', {}, adapter)
      expect(spy).toHaveBeenCalledTimes(1)
      expect(spy.mock.contexts).toEqual([adapter])
      spy.mockImplementation(() => ({ exitCode: 9, stdout: '', stderr: 'replaced', durationMs: 0 }))
      const error = await rejection(() => run('true', {}, adapter))
      expect(error.message).toBe('Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code 9: replaced')
      spy.mockRestore()
      await run('true', {}, adapter)
    })

    it('merges', async () => {
      captureConsole()
      const jobDir = tempFolder()
      const error = await rejection(() =>
        new JobExecutor(make()).execute(spec(['true'], { mergeCommand: shell('pwd >&2; exit 4') }), { jobDir }),
      )
      expect(error.message).toBe(`Merge failed with exit code 4: ${jobDir}\n`)
    })
  })
}
