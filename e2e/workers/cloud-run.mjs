// What is deployed to Cloud Run: tells its port when it listens.
import { createCloudRunServer } from '../../index.js'
import { storageOf } from './storage.mjs'

const { listen } = createCloudRunServer({
  storage: storageOf(JSON.parse(process.env.HELIOS_STORAGE)),
  workspaceDir: process.env.HELIOS_WORKSPACE,
  port: 0,
})
const server = listen(() => console.log(`port ${server.address().port}`))
