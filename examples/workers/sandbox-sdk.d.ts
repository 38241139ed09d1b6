// As much of Cloudflare's SDK as sandbox.mjs uses; it is installed where that is deployed.
declare module '@cloudflare/sandbox' {
  export class Sandbox {}
  export function getSandbox(
    binding: unknown,
    id: string,
    options: { keepAlive: boolean },
  ): {
    exec(command: string): Promise<{ exitCode: number; stdout: string; stderr: string }>
    destroy(): Promise<void>
  }
}
