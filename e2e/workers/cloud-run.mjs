// What is deployed to Cloud Run: tells its port when it listens.
import { createCloudRunServer } from '../../index.js'
import { storageOfWorker } from './storage.mjs'

const { listen } = createCloudRunServer({
  storage: storageOfWorker(),
  workspaceDir: process.env.HELIOS_WORKSPACE,
  port: 0,
})
const server = listen(() => console.log(`port ${server.address().port}`))
