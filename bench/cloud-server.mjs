// Answers as Lambda and as a Cloud Run service do, in a process of its own, whose time is nobody's. Prints its port.
import { createServer } from 'node:http'

const rendered = { exitCode: 0, stdout: 'rendered 25 frames\n', stderr: '' }
const handled = { exitCode: 0, output: rendered.stdout, stderr: '' }
const answers = {
  lambda: JSON.stringify({ statusCode: 200, body: JSON.stringify(handled) }),
  service: JSON.stringify(rendered),
}
const held = []
const server = createServer((request, response) => {
  // `/<number>`: so many are answered together.
  const together = Number(request.url.slice(1)) || 1
  const answer = request.url.endsWith('/invocations') ? answers.lambda : answers.service
  request.resume().on('end', () => {
    held.push(() => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
      response.end(answer)
    })
    if (held.length >= together) for (const answerOne of held.splice(0)) answerOne()
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
process.stdin.resume().on('end', () => process.exit())
