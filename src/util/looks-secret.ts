const secretWords = /(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmlessWords = /(?:^|_)(?:public|file|version)(?:_|$)/i;

/** Does the name of a variable say that its value is a secret (CK-16)? */
export function looksSecret(name: string): boolean {
  return secretWords.test(name) && !harmlessWords.test(name);
}
