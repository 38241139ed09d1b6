// What is deployed to Lambda.
import { createAwsHandler } from '../../index.js'
import { storageOfWorker } from './storage.mjs'

export const handler = createAwsHandler({ storage: storageOfWorker(), workspaceDir: process.env.HELIOS_WORKSPACE })
