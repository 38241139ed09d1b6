// A Lambda function that renders one chunk per event. Its storage is the variable STORAGE.
import { createAwsHandler } from '@helios-project/infrastructure'
import { storageAt } from '../lib/settings.mjs'

export const handler = createAwsHandler({ storage: storageAt() })
