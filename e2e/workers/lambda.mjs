// What is deployed to Lambda.
import { createAwsHandler } from '../../index.js'
import { storageOf } from './storage.mjs'

/** The handler of a function whose storage is as described. */
export const lambdaHandler = (storage, workspaceDir) => createAwsHandler({ storage: storageOf(storage), workspaceDir })
