// Stands in a folder while a design starts, and goes back to where the process was.
//
// $readmemh("./x.dat") is relative to the folder of the process, and only the initial blocks read
// files: be there for as long as they run. One start at a time, for all threads share the folder.
#ifndef PRUNESTREAM_RUN_DIR_H_
#define PRUNESTREAM_RUN_DIR_H_

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>

namespace prunestream {

class RunDir {
    static std::mutex& guard() {
        static std::mutex mutex;
        return mutex;
    }
    std::lock_guard<std::mutex> lock{guard()};
    int before;

public:
    explicit RunDir(const char* path) : before{open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)} {
        if (before < 0 || chdir(path) != 0) {
            const std::string reason = std::strerror(errno);
            if (before >= 0) ::close(before);
            throw std::runtime_error("cannot enter the run folder " + std::string(path) + ": "
                                     + reason);
        }
    }
    ~RunDir() {
        if (fchdir(before) != 0) {
            // The folder that we came from is gone; there is nowhere to go back to.
        }
        ::close(before);
    }
    RunDir(const RunDir&) = delete;
    RunDir& operator=(const RunDir&) = delete;
};

}  // namespace prunestream

#endif
